/** Local ports of programs that cannot choose one themselves. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Child } from '../../peer/demo/child.ts'

/** Ports of 127.0.0.1 that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => server.listening || once(server, 'listening')))
  const ports = servers.map((server) => {
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('a server has no port')
    return address.port
  })
  await Promise.all(
    servers.map((server) => {
      server.close()
      return once(server, 'close')
    }),
  )
  return ports
}

/** Resolves once somebody listens there. Rejects when the child that should has ended, or after 30 s. */
export async function listening(port: number, child: Child): Promise<void> {
  const deadline = performance.now() + 30_000
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      socket.destroy()
      return
    } catch {
      if (child.exit !== null) throw new Error(`${child.name} ended: ${child.stderr.slice(-5).join(' ')}`)
      if (performance.now() > deadline) throw new Error(`${child.name} does not listen on ${port}`)
      await delay(10)
    }
  }
}
