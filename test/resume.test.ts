/** What a mux does when its channel is lost and it is given another one: nothing is lost, nothing comes twice. */
import fc from 'fast-check'
import { NearportError } from '../shared/errors.ts'
import { encodeFrame } from '../shared/frames.ts'
import { LIMITS } from '../shared/limits.ts'
import { Mux, StreamCount } from '../shared/mux.ts'
import type { MuxStream } from '../shared/stream.ts'
import { WindowBudget } from '../shared/window-budget.ts'
import { MemoryCarrier, memoryScheduler, sink, turns } from './support/mux-pair.ts'
import { runs } from './support/sample.ts'

/** Two muxes and the channel between them, which a test may cut at any message. */
class Pair {
  readonly accepted: (MuxStream & { sink: ReturnType<typeof sink> })[] = []
  readonly count = { access: new StreamCount(), share: new StreamCount() }
  readonly access = new Mux({ budget: new WindowBudget(), count: this.count.access }, null)
  readonly share = new Mux({ budget: new WindowBudget(), count: this.count.share }, (stream) => {
    this.accepted.push(Object.assign(stream, { sink: sink(stream) }))
  })
  #up = new MemoryCarrier()
  #down = new MemoryCarrier()

  constructor() {
    this.connect(false)
  }

  /**
   * Another channel, in place of the one before if there was one. The access side may send later than the share side:
   * it is told that there is a channel by way of another one. See {@link start}.
   */
  connect(resumes = true, late = false): void {
    this.#up = new MemoryCarrier()
    this.#down = new MemoryCarrier()
    this.access.attach(memoryScheduler(256 * 1024).addLane(this.#up), resumes)
    this.share.attach(memoryScheduler(256 * 1024).addLane(this.#down), resumes)
    this.share.start()
    if (!late) this.access.start()
  }

  start(): void {
    this.access.start()
  }

  /** The channel is lost, with all that is on its way. */
  cut(): void {
    this.access.detach()
    this.share.detach()
  }

  /** Moves one message in one direction. False when there was none. */
  async move(direction: 'up' | 'down'): Promise<boolean> {
    await turns()
    const message = direction === 'up' ? this.#up.shift() : this.#down.shift()
    if (message !== undefined) (direction === 'up' ? this.share : this.access).receive(message)
    await turns()
    return message !== undefined
  }

  async settle(): Promise<void> {
    let moved = true
    while (moved) {
      moved = false
      for (const direction of ['up', 'down'] as const) moved = (await this.move(direction)) || moved
    }
  }
}

const bytesFrom = (seed: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at++) bytes[at] = (seed + at * 31 + (at >> 8)) & 255
  return bytes
}

describe('a stream', () => {
  test('goes on where it was, in both directions, on the next channel', async () => {
    const pair = new Pair()
    const [up, down] = [bytesFrom(1, 900_000), bytesFrom(2, 900_000)]
    const near = pair.access.open()
    const nearSink = sink(near)
    near.write(up)
    near.end()
    for (let messages = 0; messages < 3; messages++) await pair.move('up')
    const [far] = pair.accepted
    far?.write(down)
    far?.end()
    for (let messages = 0; messages < 3; messages++) await pair.move('down')
    pair.cut()
    pair.connect()
    await pair.settle()
    expect(far?.sink.bytes().equals(up)).toBe(true)
    expect(nearSink.bytes().equals(down)).toBe(true)
    expect([far?.sink.ended, nearSink.ended]).toEqual([true, true])
    expect([pair.count.access.now, pair.count.share.now]).toEqual([0, 0])
  })

  test('opened, written and ended while there is no channel is carried by the next one', async () => {
    const pair = new Pair()
    pair.cut()
    const near = pair.access.open()
    near.write(bytesFrom(3, 10))
    near.end()
    pair.connect()
    await pair.settle()
    expect(pair.accepted[0]?.sink).toMatchObject({ ended: true, length: 10 })
  })

  test('whose OPEN was lost is opened again; one that was reset by then is not', async () => {
    const pair = new Pair()
    const [kept, dropped] = [pair.access.open(), pair.access.open()]
    kept.write(bytesFrom(4, 5))
    await turns()
    dropped.reset('peer-reset', 'gave up')
    pair.cut()
    pair.connect()
    await pair.settle()
    expect(pair.accepted).toHaveLength(1)
    expect(pair.accepted[0]?.sink.length).toBe(5)
    kept.reset('peer-reset', 'the end')
    await pair.settle()
    expect([pair.count.access.now, pair.count.share.now]).toEqual([0, 0])
  })

  test.each(['access', 'share'] as const)(
    'reset by the %s side while there is no channel is reset after',
    async (by) => {
      const pair = new Pair()
      const near = pair.access.open()
      const nearSink = sink(near)
      near.write(bytesFrom(5, 100))
      await pair.settle()
      const [far] = pair.accepted
      pair.cut()
      const [resets, hears] = by === 'access' ? [near, far?.sink] : [far, nearSink]
      resets?.reset('target-unreachable', 'the cable was pulled')
      pair.connect()
      await pair.settle()
      expect(hears?.reset).toMatchObject({ code: 'target-unreachable', message: 'the cable was pulled' })
      expect([pair.count.access.now, pair.count.share.now]).toEqual([0, 0])
    },
  )

  test('whose last acknowledgement was lost has ended in order', async () => {
    const pair = new Pair()
    const near = pair.access.open()
    const nearSink = sink(near)
    near.end()
    await pair.move('up')
    const [far] = pair.accepted
    far?.end()
    // The share side's FIN arrives, and the acknowledgement of it is lost on the way back.
    while (await pair.move('down'));
    expect(nearSink.ended).toBe(true)
    pair.cut()
    pair.connect()
    await pair.settle()
    expect([nearSink.reset, far?.sink.reset]).toEqual([null, null])
    expect([pair.count.access.now, pair.count.share.now]).toEqual([0, 0])
  })

  test('the bytes kept to be sent again are bounded by the credit given', async () => {
    const pair = new Pair()
    const near = pair.access.open()
    await pair.settle()
    const [far] = pair.accepted
    let received = 0
    if (far !== undefined) far.ondata = (bytes) => (received += bytes.length)
    let written = 0
    for (let more = true; more && written < 2 * LIMITS.initialWindow; written += 65_536) {
      more = near.write(bytesFrom(6, 65_536))
      await pair.settle()
    }
    expect(received).toBe(LIMITS.initialWindow)
    expect(written).toBeLessThanOrEqual(LIMITS.initialWindow + LIMITS.streamQueue)
    pair.cut()
    pair.connect()
    await pair.settle()
    expect(received).toBe(LIMITS.initialWindow)
  })
})

type Action =
  | { readonly do: 'write'; readonly side: 'near' | 'far'; readonly stream: number; readonly size: number }
  | { readonly do: 'end' | 'reset'; readonly side: 'near' | 'far'; readonly stream: number }
  | { readonly do: 'move'; readonly way: 'up' | 'down'; readonly times: number }
  | { readonly do: 'cut'; readonly late: boolean }
  | { readonly do: 'start' }
  | { readonly do: 'open' }

const side = fc.constantFrom('near' as const, 'far' as const)
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ do: 'open' as const }) },
  {
    weight: 10,
    arbitrary: fc.record({ do: fc.constant('write' as const), side, stream: fc.nat(4), size: fc.nat(200_000) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('end' as const), side, stream: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reset' as const), side, stream: fc.nat(4) }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('move' as const),
      way: fc.constantFrom('up' as const, 'down' as const),
      times: fc.nat(6),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('cut' as const), late: fc.boolean() }) },
  { weight: 3, arbitrary: fc.constant({ do: 'start' as const }) },
)

/** One end of a stream, and what was given to it. */
class End {
  readonly stream: MuxStream
  readonly sink: ReturnType<typeof sink>
  written = Buffer.alloc(0)
  ended = false
  wasReset = false

  constructor(stream: MuxStream, itsSink: ReturnType<typeof sink>) {
    this.stream = stream
    this.sink = itsSink
  }

  write(size: number): void {
    if (this.ended || this.wasReset) return
    const bytes = bytesFrom(this.written.length, size)
    this.written = Buffer.concat([this.written, bytes])
    this.stream.write(bytes)
  }
}

async function play(actions: readonly Action[]): Promise<void> {
  const pair = new Pair()
  const near: End[] = []
  const far: End[] = []
  const meet = () => {
    for (const stream of pair.accepted.slice(far.length)) far.push(new End(stream, stream.sink))
  }
  for (const step of actions) {
    if (step.do === 'open') {
      const stream = pair.access.open()
      near.push(new End(stream, sink(stream)))
    } else if (step.do === 'cut') {
      pair.cut()
      pair.connect(true, step.late)
    } else if (step.do === 'start') {
      pair.start()
    } else if (step.do === 'move') {
      for (let time = 0; time < step.times; time++) await pair.move(step.way)
      meet()
    } else {
      const end = (step.side === 'near' ? near : far)[step.stream]
      if (end === undefined) continue
      if (step.do === 'write') end.write(step.size)
      else if (step.do === 'end') {
        end.ended = true
        end.stream.end()
      } else {
        end.wasReset = true
        end.stream.reset('peer-reset', 'enough')
      }
    }
  }
  pair.start()
  await pair.settle()
  meet()
  const farById = new Map(far.map((end) => [end.stream.id, end]))
  for (const one of near) {
    const other = farById.get(one.stream.id)
    if (other === undefined) {
      // Only one that was reset before its OPEN arrived was never seen.
      expect(one.wasReset).toBe(true)
      continue
    }
    expectArrived(one, other)
    expectArrived(other, one)
  }
  for (const { stream } of near) stream.reset('peer-reset', 'the end')
  await pair.settle()
  expect([pair.count.access.now, pair.count.share.now]).toEqual([0, 0])
}

/** What `to` has of what `from` was given. */
function expectArrived(from: End, to: End): void {
  const received = to.sink.bytes()
  expect(received.equals(from.written.subarray(0, received.length))).toBe(true)
  const isReset = from.wasReset || to.wasReset || from.sink.reset !== null || to.sink.reset !== null
  // A side hears of a reset only from the other one, never for want of a channel.
  if (to.sink.reset !== null) expect(from.wasReset).toBe(true)
  // And does hear of it, unless the stream had ended in order, or it reset it too.
  if (from.wasReset && !to.wasReset && !(from.ended && to.ended)) expect(to.sink.reset).not.toBeNull()
  if (isReset) return
  expect(received.length).toBe(from.written.length)
  expect(to.sink.ended).toBe(from.ended)
}

test('whatever both sides do and wherever the channel is cut, all arrives in order, once', async () => {
  await fc.assert(fc.asyncProperty(fc.array(action, { minLength: 10, maxLength: 60 }), play), runs(30_000))
})

describe('the other side is cut off when, in place of how far it got, it', () => {
  const SYNC = (last: number, streams: number) => encodeFrame({ type: 'SYNC', stream: 0, last, streams })
  const resume = { type: 'RESUME', stream: 1, received: 0, taken: 0, window: LIMITS.initialWindow } as const
  const RESUME = (change: object = {}) => encodeFrame({ ...resume, fin: false, reset: false, ...change })

  test.each<[string, Uint8Array[]]>([
    ['sends a stream at once', [encodeFrame({ type: 'OPEN', stream: 2 })]],
    ['promises more streams than it tells of', [SYNC(1, 2), RESUME()]],
    ['tells of a stream twice', [SYNC(1, 2), RESUME(), RESUME()]],
    ['tells of a stream that never was', [SYNC(1, 1), RESUME({ stream: 9 })]],
    ['got more than was sent', [SYNC(1, 1), RESUME({ received: 11 })]],
    ['got less than it had taken', [SYNC(1, 1), RESUME({ received: 3 })]],
    ['takes credit back', [SYNC(1, 1), RESUME({ received: 10, taken: 4, window: 5 })]],
    ['got an end that was not sent', [SYNC(1, 1), RESUME({ received: 10, taken: 4, fin: true })]],
    ['took more than it got', [SYNC(1, 1), RESUME({ received: 5, taken: 6 })]],
    ['forgot a stream it answered on', [SYNC(0, 0)]],
  ])('%s', async (_, frames) => {
    const mux = new Mux({ budget: new WindowBudget(), count: new StreamCount() }, null)
    mux.attach(memoryScheduler(65_536).addLane(new MemoryCarrier()), false)
    mux.start()
    const stream = mux.open()
    stream.write(bytesFrom(7, 10))
    await turns()
    mux.receive(encodeFrame({ type: 'CREDIT', stream: 1, taken: 4, window: LIMITS.initialWindow }))
    mux.receive(encodeFrame({ type: 'DATA', stream: 1, offset: 0, payload: bytesFrom(8, 1) }))
    mux.attach(memoryScheduler(65_536).addLane(new MemoryCarrier()), true)
    mux.start()
    expect(() => mux.receive(Buffer.concat(frames))).toThrow(expect.objectContaining({ code: 'frame-malformed' }))
    mux.close(new NearportError('link-lost', 'the end'))
  })

  test('sends it where none is due', () => {
    const mux = new Mux({ budget: new WindowBudget(), count: new StreamCount() }, null)
    mux.attach(memoryScheduler(65_536).addLane(new MemoryCarrier()), false)
    mux.start()
    expect(() => mux.receive(SYNC(0, 0))).toThrow(expect.objectContaining({ code: 'frame-malformed' }))
  })
})
