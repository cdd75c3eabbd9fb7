/** Where a TCP socket and a stream meet, with what only the kernel can bring about. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { pump } from '../peer/pump.ts'
import { muxPair, settle } from './support/mux-pair.ts'

/** A connection of which our end is not read yet, as that of a till whose link is still being made. */
async function unread(): Promise<{ till: Socket; ours: Socket; close: () => void }> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  const till = connect({ host: '127.0.0.1', port: address.port, allowHalfOpen: true })
  const [ours] = (await once(server, 'connection')) as [Socket]
  return { till, ours, close: () => server.close() }
}

/** How the job ends at the other side of the streams. */
async function endOf(accepted: ReturnType<typeof muxPair>['accepted']): Promise<string> {
  for (;;) {
    await settle()
    const sink = accepted[0]?.sink
    if (sink?.ended) return `end after ${sink.length} bytes`
    if (sink?.reset) return 'reset'
    await turn()
  }
}

const MIB = 1024 * 1024
const leaves: readonly [string, string, (till: Socket) => void][] = [
  ['cut off', 'reset', (till) => till.resetAndDestroy()],
  ['ended', 'end after 1000 bytes', (till) => till.end()],
]

describe.each(leaves)('a job that is %s', (_, expected, leave) => {
  test.each([
    ['before it is read', 0],
    ['while an answer waits that its till does not read', 32 * MIB],
  ])('%s', async (_, answer) => {
    const { till, ours, close } = await unread()
    const { access, accepted } = muxPair()
    ours.write(Buffer.alloc(answer))
    pump(ours, access.open(), () => 'peer-reset')
    // In one turn, so that both are there when we read. Both ends are on this machine.
    till.on('error', () => till.destroy())
    till.write(Buffer.alloc(1000))
    leave(till)
    const end = await endOf(accepted)
    for (const socket of [till, ours]) socket.destroy()
    close()
    expect(end).toBe(expected)
  })
})

describe('a target whose job was whole is freed when the other side resets', () => {
  /** What happens between the end of the job and the reset. */
  const moments: readonly [string, (socket: Socket) => Promise<unknown>][] = [
    ['while it is still connecting', () => settle()],
    ['as it is up', (socket) => once(socket, 'connect').then(settle)],
    ['while the end is on its way', (socket) => once(socket, 'prefinish').then(settle)],
    ['after its end', (socket) => once(socket, 'finish').then(settle)],
  ]

  test.each(moments)('%s', async (_, moment) => {
    const server = createServer({ allowHalfOpen: true }, (socket) =>
      socket.on('error', () => socket.destroy()).resume(),
    )
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('the server has no port')
    const { access, accepted } = muxPair()
    const near = access.open()
    near.write(Buffer.from('a job'))
    await settle()
    const far = accepted[0]
    if (far === undefined) throw new Error('the stream did not arrive')
    const socket = connect({ host: '127.0.0.1', port: address.port, allowHalfOpen: true })
    const pumped = pump(socket, far, () => 'peer-reset')
    socket.write('a job')
    near.end()
    await settle()
    await moment(socket)
    near.reset('peer-reset', 'the till gave up')
    await settle()
    expect((await pumped).reset).toMatchObject({ by: 'far', reason: 'the till gave up' })
    server.close()
  })
})
