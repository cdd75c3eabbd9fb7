import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { NearportError } from '../shared/errors.ts'
import { DATA_OVERHEAD, decodeFrames, encodeFrame, type Frame, RESET_CODES, type ResetCode } from '../shared/frames.ts'
import { LIMITS } from '../shared/limits.ts'
import { Mux, StreamCount } from '../shared/mux.ts'
import { Scheduler } from '../shared/scheduler.ts'
import { type MuxStream, WindowBudget } from '../shared/stream.ts'
import { MemoryCarrier } from './support/mux-pair.ts'

const PROTOCOL = readFileSync(new URL('../docs/protocol.md', import.meta.url), 'utf8')

/** Every frame type, to the byte; the table in docs/protocol.md shows the same ones. */
const PINNED: readonly [hex: string, frame: Frame][] = [
  ['01 00000001 0000', { type: 'OPEN', stream: 1 }],
  ['02 00000001 000b 0000000000000000 6a6f62', { type: 'DATA', stream: 1, offset: 0, payload: bytes('job') }],
  [
    '02 01020304 0009 0000000100000005 2a',
    { type: 'DATA', stream: 0x01020304, offset: 2 ** 32 + 5, payload: bytes('*') },
  ],
  ['03 00000001 000c 0000000000040000 00080000', { type: 'CREDIT', stream: 1, taken: 262_144, window: 524_288 }],
  ['04 00000001 0008 0000000000000003', { type: 'FIN', stream: 1, offset: 3 }],
  ['05 00000001 0002 0001', { type: 'RESET', stream: 1, code: 'peer-reset', text: '' }],
  ['05 ffffffff 0005 0002 6f6666', { type: 'RESET', stream: 2 ** 32 - 1, code: 'target-refused', text: 'off' }],
]

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const decode = (message: Uint8Array): Frame[] => [...decodeFrames(message)]
const join = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

/** What is thrown at a peer that breaks the rules; anything else is a fault of ours. */
function codeOf(run: () => void): string | null {
  try {
    run()
    return null
  } catch (error) {
    if (error instanceof NearportError) return error.code
    throw error
  }
}

const stream = fc.integer({ min: 1, max: 2 ** 32 - 1 })
const offset = fc.oneof(fc.nat(), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }))
const resetCode = fc.constantFrom(...(Object.keys(RESET_CODES) as ResetCode[]))
const resetText = fc
  .string({ unit: 'binary', maxLength: LIMITS.resetTextBytes })
  .filter((text) => bytes(text).length <= LIMITS.resetTextBytes)
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ type: fc.constant('OPEN' as const), stream }),
  fc.record({ type: fc.constant('DATA' as const), stream, offset, payload: fc.uint8Array({ minLength: 1 }) }),
  fc.record({ type: fc.constant('CREDIT' as const), stream, taken: offset, window: fc.nat(2 ** 32 - 1) }),
  fc.record({ type: fc.constant('FIN' as const), stream, offset }),
  fc.record({ type: fc.constant('RESET' as const), stream, code: resetCode, text: resetText }),
)

describe('the bytes of a frame', () => {
  test.each(PINNED)('%s', (hex, pinned) => {
    expect(Buffer.from(encodeFrame(pinned)).toString('hex')).toBe(hex.replaceAll(' ', ''))
    expect(decode(fromHex(hex))).toEqual([pinned])
  })

  test('are those of docs/protocol.md, where every type has an example', () => {
    const documented = [...PROTOCOL.matchAll(/^\| `(0[1-5] [0-9a-f ]+)` \|/gm)].map((match) => match[1])
    expect(documented).toEqual(PINNED.map(([hex]) => hex))
    expect(new Set(PINNED.map(([, { type }]) => type)).size).toBe(5)
  })

  test('the numbers of types and of RESET codes never change', () => {
    expect(RESET_CODES).toEqual({
      'peer-reset': 1,
      'target-refused': 2,
      'target-unreachable': 3,
      'target-timeout': 4,
      'queue-full': 5,
      'too-many-streams': 6,
    })
  })
})

describe('encoding and decoding', () => {
  test('any frames, together in one message, come out as they went in', () => {
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 8 }), (frames) => {
        expect(decode(join(...frames.map(encodeFrame)))).toEqual(frames)
      }),
      { numRuns: 5000, examples: [[[{ type: 'RESET', stream: 1, code: 'peer-reset', text: '\ufeffoff' }]]] },
    )
  })

  test('the largest payload of a message', () => {
    const payload = new Uint8Array(LIMITS.messageBytes - DATA_OVERHEAD).fill(7)
    const message = encodeFrame({ type: 'DATA', stream: 1, offset: 0, payload })
    expect(message).toHaveLength(LIMITS.messageBytes)
    expect(decode(message)).toEqual([{ type: 'DATA', stream: 1, offset: 0, payload }])
  })

  test('the text of a RESET is cut to its limit, never inside a character', () => {
    const [cut] = decode(encodeFrame({ type: 'RESET', stream: 1, code: 'peer-reset', text: `x${'€'.repeat(200)}` }))
    expect(cut).toMatchObject({ text: `x${'€'.repeat(85)}` })
  })
})

describe('what is refused', () => {
  test.each<[string, string]>([
    ['an empty message', ''],
    ['half a header', '01 00000001 00'],
    ['a body longer than the message', '04 00000001 0008 00000000000000'],
    ['stream 0', '01 00000000 0000'],
    ['type 0', '00 00000001 0000'],
    ['type 6, reserved for ACK', '06 00000001 0000'],
    ['type 7, reserved for RESUME', '07 00000001 0000'],
    ['type 8, reserved for PING', '08 00000001 0000'],
    ['an OPEN with a body', '01 00000001 0001 00'],
    ['a DATA without data', '02 00000001 0008 0000000000000000'],
    ['a DATA without a whole offset', '02 00000001 0003 000000'],
    ['an offset of 2^53', '04 00000001 0008 0020000000000000'],
    ['a CREDIT that is short', '03 00000001 000b 0000000000000000 000000'],
    ['a CREDIT that is long', '03 00000001 000d 0000000000000000 00000000 00'],
    ['a FIN that is long', '04 00000001 0009 0000000000000000 00'],
    ['a RESET without a code', '05 00000001 0001 00'],
    ['RESET code 0', '05 00000001 0002 0000'],
    ['a RESET code not given yet', '05 00000001 0002 0007'],
    ['a RESET whose text is not UTF-8', '05 00000001 0003 0001 ff'],
    ['a RESET whose text is too long', `05 00000001 0103 0001 ${'61'.repeat(257)}`],
  ])('%s', (_, hex) => {
    expect(() => decode(fromHex(hex))).toThrow(expect.objectContaining({ code: 'frame-malformed' }))
  })

  test('a message cut at any byte but the end of a frame', () => {
    const parts = PINNED.map(([hex]) => fromHex(hex))
    const whole = join(...parts)
    const ends = parts.map((_, index) => join(...parts.slice(0, index + 1)).length)
    for (let length = 0; length < whole.length; length++) {
      const code = codeOf(() => decode(whole.subarray(0, length)))
      expect([length, code]).toEqual([length, ends.includes(length) ? null : 'frame-malformed'])
    }
  })

  test('any other value of any single byte decodes or is refused by name', () => {
    for (const [hex] of PINNED) {
      const message = fromHex(hex)
      for (const [at, value] of message.entries()) {
        for (let other = 0; other < 256; other++) {
          message[at] = other
          expect([null, 'frame-malformed']).toContain(codeOf(() => decode(message)))
        }
        message[at] = value
      }
    }
  })
})

interface Mutation {
  readonly at: number
  readonly how: 'set' | 'cut' | 'drop' | 'insert'
  readonly value: number
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.nat(200),
  how: fc.constantFrom('set' as const, 'set' as const, 'cut' as const, 'drop' as const, 'insert' as const),
  value: fc.nat(255),
})

function mutate(message: Uint8Array, mutations: readonly Mutation[]): Uint8Array {
  let mutated = message
  for (const { at, how, value } of mutations) {
    const index = mutated.length === 0 ? 0 : at % mutated.length
    const [head, tail] = [mutated.subarray(0, index), mutated.subarray(index)]
    if (how === 'set') mutated = join(head, Uint8Array.of(value), tail.subarray(1))
    else if (how === 'cut') mutated = head
    else if (how === 'drop') mutated = join(head, tail.subarray(1))
    else mutated = join(head, Uint8Array.of(value), tail)
  }
  return mutated
}

const RUNS = 100_000

describe(`${RUNS} random and mutated messages`, () => {
  test('the codec throws frame-malformed, and nothing else', () => {
    const random = fc.uint8Array({ maxLength: 64 })
    const mutated = fc
      .tuple(fc.array(frame, { minLength: 1, maxLength: 3 }), fc.array(mutation, { minLength: 1, maxLength: 3 }))
      .map(([frames, mutations]) => mutate(join(...frames.map(encodeFrame)), mutations))
    const seen = { decoded: 0, refused: 0 }
    fc.assert(
      fc.property(fc.oneof(random, mutated), (message) => {
        const code = codeOf(() => decode(message))
        if (code === null) seen.decoded++
        else seen.refused++
        return code === null || code === 'frame-malformed'
      }),
      { numRuns: RUNS },
    )
    expect(Math.min(seen.decoded, seen.refused)).toBeGreaterThan(RUNS / 100)
  })

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
      { numRuns: 6000 },
    )
    expect(heapUsed() - before).toBeLessThan(32 * 1024 * 1024)
    expect(seen.messages).toBeGreaterThanOrEqual(RUNS)
    expect([...seen.codes.keys()].sort()).toEqual(['credit-overrun', 'frame-malformed'])
    // Else the fuzz would only ever have looked at the first messages of a connection.
    expect(seen.whole).toBeGreaterThan(100)
  })

  test.each<[string, (stream: MuxStream) => void]>([
    ['are refused beyond the limit', () => undefined],
    ['fail at once', (stream) => stream.reset('target-refused', '192.168.1.185:9100 refused')],
  ])('a peer that opens streams and never reads fills no memory: streams that %s', async (_, accept) => {
    const carrier = new MemoryCarrier()
    const shared = { budget: new WindowBudget(), count: new StreamCount() }
    const mux = new Mux(new Scheduler(64 * 1024).addLane(carrier), shared, accept)
    const before = heapUsed()
    for (let stream = 1; stream <= RUNS; stream++) {
      const code = codeOf(() => mux.receive(encodeFrame({ type: 'OPEN', stream })))
      // To be cut off for it is an answer too.
      if (code !== null) break
      if (stream % 1000 === 0) await Promise.resolve()
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
  const mux = new Mux(new Scheduler(64 * 1024).addLane(carrier), shared, accepts ? watch : null)
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
    await Promise.resolve()
    for (let sent = carrier.shift(); sent !== undefined; sent = carrier.shift()) {
      if (sent.length > LIMITS.messageBytes) throw new Error(`a message of ${sent.length} bytes was sent`)
      decode(sent)
      await Promise.resolve()
    }
    for (const waiting of live.values()) {
      if (waiting > LIMITS.maximumWindow) throw new Error(`a stream holds ${waiting} bytes`)
    }
  }
  mux.close(new NearportError('link-lost', 'the end of the run'))
  const allBack = live.size === 0 && shared.count.now === 0 && shared.budget.take(LIMITS.linkWindowBudget)
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

/** bytes, after a full garbage collection */
function heapUsed(): number {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect !== 'function') throw new TypeError('this Node collects no garbage on request')
  collect()
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
}
