/** A mux whose other side does anything at all. */
import fc from 'fast-check'
import { NearportError } from '../shared/errors.ts'
import { encodeFrame } from '../shared/frames.ts'
import { LIMITS } from '../shared/limits.ts'
import { Mux, StreamCount } from '../shared/mux.ts'
import type { MuxStream } from '../shared/stream.ts'
import { WindowBudget } from '../shared/window-budget.ts'
import { codeOf, decode, join, type Mutation, mutate, mutation, RUNS } from './support/frames.ts'
import { heapUsed } from './support/heap.ts'
import { MemoryCarrier, memoryScheduler, turns } from './support/mux-pair.ts'
import { runs } from './support/sample.ts'

describe(`${RUNS} random and mutated messages`, () => {
  test('a live mux throws frame-malformed or credit-overrun, and nothing else; its memory stays bounded', async () => {
    const seen = { messages: 0, whole: 0, codes: new Map<string, number>() }
    let before = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 40, maxLength: 60 }), scene, async (steps, where) => {
        if (seen.messages > RUNS / 10) before ||= heapUsed()
        const code = await play(steps, where, () => seen.messages++)
        if (code === null) seen.whole++
        else seen.codes.set(code, (seen.codes.get(code) ?? 0) + 1)
      }),
      runs(6000),
    )
    expect(heapUsed() - before).toBeLessThan(32 * 1024 * 1024)
    expect(seen.messages).toBeGreaterThanOrEqual(RUNS)
    expect([...seen.codes.keys()].sort()).toEqual(['credit-overrun', 'frame-malformed'])
    // Else the fuzz would only ever have looked at the first messages of a connection.
    expect(seen.whole).toBeGreaterThan(RUNS / 1000)
  })

  test.each<[string, (stream: MuxStream) => void]>([
    ['are refused beyond the limit', () => undefined],
    ['fail at once', (stream) => stream.reset('target-refused', '192.168.1.185:9100 refused')],
  ])('a peer that opens streams and never reads fills no memory: streams that %s', async (_, accept) => {
    const carrier = new MemoryCarrier()
    const shared = { budget: new WindowBudget(), count: new StreamCount() }
    const mux = new Mux(shared, accept)
    mux.attach(memoryScheduler(64 * 1024).addLane(carrier), false)
    mux.start()
    const before = heapUsed()
    for (let stream = 1; stream <= RUNS; stream++) {
      const code = codeOf(() => mux.receive(encodeFrame({ type: 'OPEN', stream })))
      // To be cut off for it is an answer too.
      if (code !== null) break
      if (stream % 1000 === 0) await turns()
    }
    expect(heapUsed() - before).toBeLessThan(16 * 1024 * 1024)
    mux.close(new NearportError('link-lost', 'the end'))
  })
})

/** One message of the other side, mostly as it may be, and what our own application does after it. */
interface Step {
  readonly frames: readonly { readonly kind: number; readonly stream: number; readonly size: number }[]
  readonly mutations: readonly Mutation[]
  readonly own: number
}

const step: fc.Arbitrary<Step> = fc.record({
  frames: fc.array(fc.record({ kind: fc.nat(99), stream: fc.integer({ min: 1, max: 6 }), size: fc.nat(60_000) }), {
    minLength: 1,
    maxLength: 3,
  }),
  mutations: fc.oneof(
    { weight: 49, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 2 }) },
  ),
  own: fc.nat(15),
})

interface Scene {
  /** Our side is the one that accepts streams, not the one that opens them. */
  readonly accepts: boolean
  readonly floods: boolean
}

const scene: fc.Arbitrary<Scene> = fc.record({ accepts: fc.boolean(), floods: fc.boolean() })

const PIECE = new Uint8Array(65_521)

/** Plays the steps to a new mux until it throws. Returns the code it threw. */
async function play(steps: readonly Step[], { accepts, floods }: Scene, count: () => void): Promise<string | null> {
  const carrier = new MemoryCarrier()
  const live = new Map<MuxStream, number>()
  const watch = (stream: MuxStream) => {
    live.set(stream, 0)
    stream.ondata = (data) => live.set(stream, (live.get(stream) ?? 0) + data.length)
    stream.onclose = () => live.delete(stream)
  }
  const shared = { budget: new WindowBudget(), count: new StreamCount() }
  const mux = new Mux(shared, accepts ? watch : null)
  mux.attach(memoryScheduler(64 * 1024).addLane(carrier), false)
  mux.start()
  const far = new FarSide(accepts, floods)
  let code: string | null = null
  for (const { frames, mutations, own } of steps) {
    if (!accepts && far.known < 6) {
      watch(mux.open())
      far.known++
    }
    count()
    const message = mutate(far.message(frames), mutations)
    code = codeOf(() => mux.receive(message))
    if (code !== null) break
    for (const [stream, waiting] of live) behave(stream, waiting, floods ? 15 : own, () => live.set(stream, 0))
    await turns()
    for (let sent = carrier.shift(); sent !== undefined; sent = carrier.shift()) {
      if (sent.length > LIMITS.messageBytes) throw new Error(`a message of ${sent.length} bytes was sent`)
      decode(sent)
      await turns()
    }
    for (const waiting of live.values()) {
      if (waiting > LIMITS.maximumWindow) throw new Error(`a stream holds ${waiting} bytes`)
    }
  }
  mux.close(new NearportError('link-lost', 'the end of the run'))
  const allBack = live.size === 0 && shared.count.now === 0 && shared.budget.take(LIMITS.windowBudget)
  if (!allBack) throw new Error('a closed mux holds streams, or a part of the budget')
  return code
}

/** What an application does with its stream. */
function behave(stream: MuxStream, waiting: number, own: number, tookAll: () => void): void {
  if (own < 12) {
    stream.taken(waiting)
    tookAll()
  }
  if (own === 13) stream.end()
  else if (own === 14) stream.reset('peer-reset', 'enough')
  else if (own < 8) writeUnlessEnded(stream, PIECE.subarray(0, 1000 * own))
}

/** A real application knows what it ended; this one is told. */
function writeUnlessEnded(stream: MuxStream, data: Uint8Array): void {
  const code = codeOf(() => stream.write(data))
  if (code !== null && code !== 'internal') throw new Error(`write threw ${code}`)
}

/** Makes frames that keep the rules, as far as one who sees no answers can, and now and then one that does not. */
class FarSide {
  /** The streams our side has opened, if it is the one that opens them. */
  known = 0
  readonly #opens: boolean
  /** It sends much, to a side that takes nothing. */
  readonly #floods: boolean
  readonly #ended = new Set<number>()
  readonly #sent = new Map<number, number>()
  readonly #granted = new Map<number, number>()

  constructor(opens: boolean, floods: boolean) {
    this.#opens = opens
    this.#floods = floods
  }

  /** The frames, as far as one message surely takes them. */
  message(frames: Step['frames']): Uint8Array {
    let message = new Uint8Array()
    for (const frame of frames) {
      if (message.length > 0 && message.length + (frame.kind < 30 ? 65_536 : 6100) > LIMITS.messageBytes) break
      message = new Uint8Array(join(message, this.frame(frame)))
    }
    return message
  }

  frame({ kind, stream: wanted, size }: Step['frames'][number]): Uint8Array {
    if (this.#opens && wanted > this.known) {
      this.known++
      return encodeFrame({ type: 'OPEN', stream: this.known })
    }
    const stream = Math.min(wanted, this.known)
    if (kind < (this.#floods ? 30 : 1)) return this.#data(stream, 65_521)
    if (kind === 1) return encodeFrame({ type: 'RESET', stream, code: 'target-refused', text: 'off' })
    if (kind < 90 && this.#ended.has(stream)) return this.#credit(stream, 0)
    if (kind === 2) return this.#fin(stream)
    if (kind === 99) return encodeFrame({ type: 'ACK', stream, of: 'FIN' })
    if (kind < 10) return this.#data(stream, size)
    return kind < 60 ? this.#data(stream, size % 6000) : this.#credit(stream, size)
  }

  #fin(stream: number): Uint8Array {
    this.#ended.add(stream)
    return encodeFrame({ type: 'FIN', stream, offset: this.#sent.get(stream) ?? 0 })
  }

  #data(stream: number, size: number): Uint8Array {
    const offset = this.#sent.get(stream) ?? 0
    const payload = PIECE.subarray(0, Math.max(1, size))
    this.#sent.set(stream, offset + payload.length)
    return encodeFrame({ type: 'DATA', stream, offset, payload })
  }

  #credit(stream: number, more: number): Uint8Array {
    const window = Math.min((this.#granted.get(stream) ?? LIMITS.initialWindow) + more, LIMITS.maximumWindow)
    this.#granted.set(stream, window)
    return encodeFrame({ type: 'CREDIT', stream, taken: 0, window })
  }
}
