/**
 * Small UDP packets there and back, to hold the forwarder to what it was told. As a program:
 *
 *     node echo.js server HOST               says its port
 *     node echo.js client HOST PORT COUNT    says, as JSON, what came back
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Child } from '../../peer/demo/child.ts'
import { owned } from '../cleanup.ts'
import type { NetworkPath } from './path.ts'
import { FAR_ADDRESS } from './path.ts'

const FILE = fileURLToPath(import.meta.url)

export interface Echoes {
  readonly sent: number
  /** ms, of those that came back */
  readonly roundTrips: readonly number[]
}

/** Sends packets from near to far, a few each ms, and counts what comes back. */
export async function echoes(path: NetworkPath, count: number): Promise<Echoes> {
  const start = (launch: readonly string[], ...words: readonly string[]): Child => {
    const [program = '', ...rest] = [...launch, process.execPath, FILE, ...words]
    const child = new Child(`echo ${words[0]}`, rest, { program })
    owned(child.process)
    return child
  }
  const server = start(path.far.launch, 'server', FAR_ADDRESS)
  try {
    const port = await server.until('its port', ({ stdout }) => stdout[0])
    const client = start(path.near.launch, 'client', FAR_ADDRESS, port, String(count))
    return JSON.parse(await client.until('its result', ({ stdout }) => stdout[0], 60_000)) as Echoes
  } finally {
    await server.stop()
  }
}

async function serve(host: string): Promise<void> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 })
  socket.on('message', (packet, { port, address }) => socket.send(packet, port, address))
  socket.bind(0, host)
  await once(socket, 'listening')
  process.stdout.write(`${socket.address().port}\n`)
}

async function ask(host: string, port: number, count: number): Promise<void> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 })
  const roundTrips: number[] = []
  socket.on('message', (packet) => roundTrips.push(performance.now() - packet.readDoubleBE()))
  socket.bind(0)
  await once(socket, 'listening')
  for (let sent = 0; sent < count; sent++) {
    const packet = Buffer.alloc(100)
    packet.writeDoubleBE(performance.now())
    socket.send(packet, port, host)
    if (sent % 4 === 0) await delay(1)
  }
  await delay(1000)
  socket.close()
  process.stdout.write(`${JSON.stringify({ sent: count, roundTrips } satisfies Echoes)}\n`)
}

if (process.argv[1] === FILE) {
  const [role, host = '', port, count] = process.argv.slice(2)
  await (role === 'server' ? serve(host) : ask(host, Number(port), Number(count)))
}
