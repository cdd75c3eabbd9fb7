/** Processes that may open few files, and members that want more of them than there are. */
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { exchange, readAll, TcpTarget } from './support/tcp.ts'
import { ENGINES, type LogLine, type Network, startNetwork } from './support/tunnel.ts'

/** Words that start a program which may open so many files. */
const withFiles = (most: number) => ['sh', '-c', `ulimit -n ${most} && exec "$0" "$@"`]
const FILES = 128
const said = (msg: string, code?: string) => (line: LogLine) =>
  line.msg === msg && (code === undefined || line.code === code)

let network: Network
let target: TcpTarget
const sockets: Socket[] = []

beforeEach(async () => {
  network = await startNetwork()
  target = await TcpTarget.start(async (socket) => {
    socket.end(await readAll(socket).catch(() => Buffer.alloc(0)))
  })
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await network.stop()
  await target.off()
})

/** Opens connections and keeps them; resolves once each is up, or refused. How they end is of no matter. */
async function hold(port: number, count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect({ host: '127.0.0.1', port })
      socket.on('error', () => socket.destroy())
      sockets.push(socket)
      await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve))
      socket.write('x')
    }),
  )
}

/** As exchange, for as often as there is no place yet. */
async function firstTaken(port: number, job: string): Promise<Buffer> {
  try {
    return await exchange(port, job)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error
    return firstTaken(port, job)
  }
}

describe.each(ENGINES)('%s', (engine) => {
  test('a share that is asked for more connections than it may open files refuses them by name, and lives', async () => {
    const share = await network.share({ pc1: target.address }, { engine, launch: withFiles(FILES) })
    await network.succeed('flood', ['enable', network.link])
    const flood = await network.access(['pc1'], { engine, home: 'flood' })
    await hold(flood.ports.pc1 ?? 0, FILES)
    await flood.logged('a refusal', said('connection reset', 'too-many-streams'))
    // A till that comes now is linked, and printed for.
    const till = await network.access(['pc1'], { engine })
    await till.logged('link ready', said('link ready'))
    expect((await exchange(till.ports.pc1 ?? 0, 'a job')).toString()).toBe('a job')
    expect(share.child.exit).toBeNull()
  })

  test('an access whose ports are asked for more connections than it may open files refuses them, and links again', async () => {
    const share = await network.share({ pc1: target.address }, { engine })
    const till = await network.access(['pc1'], { engine, launch: withFiles(FILES) })
    await till.logged('link ready', said('link ready'))
    await hold(till.ports.pc1 ?? 0, FILES)
    await till.logged('a refusal', said('connections refused', 'too-many-streams'))
    await share.stop('SIGKILL')
    const before = till.log.length
    await network.share({ pc1: target.address }, { engine })
    await till.logged('link ready', said('link ready'), before)
    for (const socket of sockets.splice(0)) socket.destroy()
    expect((await firstTaken(till.ports.pc1 ?? 0, 'a job')).toString()).toBe('a job')
  })
})
