/** A target that takes one connection at a time: who waits, in which order, and who gives way. Over real sockets. */
import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { Target, type TargetOptions } from '../peer/target.ts'
import { toBase64Url, utf8 } from '../shared/bytes.ts'
import { LIMITS } from '../shared/limits.ts'
import { Regulars } from '../shared/regulars.ts'
import type { MuxStream } from '../shared/stream.ts'
import { muxPair, settle, sink } from './support/mux-pair.ts'
import { collectingLog } from './support/signaling.ts'
import { readAll, TcpTarget } from './support/tcp.ts'

/** 32 bytes, as those of a key. */
const identity = (name: string): string => toBase64Url(utf8(name.padEnd(32)))

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await settle()
    await turn()
  }
}

/** A printer, and a target made of it that takes one connection at a time. */
async function scene(options: Partial<TargetOptions> = {}) {
  const printed: string[] = []
  const printer = await TcpTarget.start(async (socket) => {
    printed.push((await readAll(socket).catch(() => '')).toString())
    socket.end()
  })
  const [host = '', port] = printer.address.split(':')
  const log = collectingLog()
  const address = { host, port: Number(port) }
  const target = new Target({ name: 'pc1', address, interval: 0, maxConnections: 1, log, ...options })
  cleanups.push(() => printer.off())
  cleanups.push(() => target.stop())
  return { printer, printed, target, log }
}

/** Streams of one identity. */
function member(target: Target, owner: string) {
  const { access, accepted } = muxPair()
  const open = async (job: string | null): Promise<{ near: MuxStream; sink: ReturnType<typeof sink> }> => {
    const near = access.open()
    const answer = sink(near)
    const before = accepted.length
    await until(() => accepted.length > before)
    const far = accepted.at(-1)
    if (far === undefined) throw new Error('the stream did not arrive')
    target.accept(far, identity(owner))
    if (job !== null) {
      near.write(Buffer.from(job))
      near.end()
      await settle()
    }
    return { near, sink: answer }
  }
  return { open }
}

test('the turns go round among identities, and among strangers and regulars', async () => {
  const { printed, printer, target } = await scene({ regulars: new Regulars([[identity('till'), 1]]) })
  const [greedy, other, till] = ['greedy', 'other', 'till'].map((owner) => member(target, owner))
  const arrived = printer.next()
  const holder = await greedy?.open(null)
  const socket = await arrived
  for (const job of ['g1', 'g2', 'g3', 'g4']) await greedy?.open(job)
  for (const job of ['o1', 'o2']) await other?.open(job)
  const last = await till?.open('t1')
  await till?.open('t2')
  expect(target.status().queued).toBe(8)
  holder?.near.end()
  socket.end()
  await until(() => printed.length === 8)
  expect(printed).toEqual(['t1', 'g1', 't2', 'o1', 'g2', 'o2', 'g3', 'g4'])
  expect(last?.sink.ended).toBe(true)
})

test('one identity cannot fill the queue, nor can a thousand take the places of a regular', async () => {
  const { target, printer, log } = await scene({ regulars: new Regulars([[identity('till'), 1]]) })
  const arrived = printer.next()
  const greedy = member(target, 'greedy')
  await greedy.open(null)
  await arrived
  const refused: string[] = []
  const wait = async (owner: string, count: number) => {
    const streams = member(target, owner)
    for (let each = 0; each < count; each++) {
      const { sink: answer } = await streams.open('job')
      await settle()
      if (answer.reset !== null) refused.push(owner)
    }
  }
  await wait('greedy', LIMITS.queuedStreams / 4 + 2)
  expect(refused).toEqual(['greedy', 'greedy'])
  for (let stranger = 0; stranger < LIMITS.queuedStreams / 4 + 1; stranger++) await wait(`stranger ${stranger}`, 1)
  expect(refused.at(-1)).toBe(`stranger ${LIMITS.queuedStreams / 4}`)
  const before = refused.length
  await wait('till', 3)
  expect(refused.length).toBe(before)
  expect(log.entries.filter(({ fields }) => fields.code === 'queue-full')).toHaveLength(1)
})

describe('with --idle-timeout', () => {
  const idleTimeout = 10

  /** One that holds the target, and another that waits. */
  async function held(onsocket: (socket: Socket) => void = () => undefined) {
    const made = await scene({ idleTimeout })
    const arrived = made.printer.next()
    const holder = await member(made.target, 'holder').open(null)
    const socket = await arrived
    onsocket(socket)
    return { ...made, holder, socket, waiter: member(made.target, 'waiter') }
  }

  test('who is idle gives way to who waits, and the printer gets an end in order', async () => {
    const { printed, holder, socket, waiter, log } = await held()
    const job = readAll(socket)
    holder.near.write(Buffer.from('half a job'))
    await until(() => holder.near !== null && socket.bytesRead === 10)
    const waiting = await waiter.open('next')
    expect((await job).toString()).toBe('half a job')
    socket.end()
    await until(() => printed.includes('next'))
    expect(holder.sink.reset).toMatchObject({ code: 'idle-timeout' })
    expect(waiting.sink.reset).toBeNull()
    expect(log.entries.filter(({ fields }) => fields.code === 'idle-timeout').length).toBeGreaterThan(0)
  })

  test('a printer that is out of paper is not idle: what it does not take waits for it', async () => {
    const { holder, socket, waiter, target } = await held()
    holder.near.write(Buffer.alloc(LIMITS.initialWindow))
    socket.pause()
    await waiter.open('next')
    // Others give way meanwhile, at the same pace.
    for (let round = 0; round < 2; round++) {
      const other = await held((each) => each.resume())
      await other.waiter.open('next')
      await until(() => other.holder.sink.reset !== null)
    }
    expect([holder.sink.reset, target.status().queued]).toEqual([null, 1])
  })

  test('nobody gives way while nobody waits', async () => {
    const { holder } = await held()
    const other = await held((each) => each.resume())
    await other.waiter.open('next')
    await until(() => other.holder.sink.reset !== null)
    expect(holder.sink.reset).toBeNull()
  })
})
