/** Frames by the thousand, and ways to spoil them. */
import fc from 'fast-check'
import { NearportError } from '../../shared/errors.ts'
import { decodeFrames, type Frame, RESET_CODES, type ResetCode } from '../../shared/frames.ts'
import { LIMITS } from '../../shared/limits.ts'
import { sample } from './sample.ts'

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
export const decode = (message: Uint8Array): Frame[] => [...decodeFrames(message)]
export const join = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

/** What is thrown at a peer that breaks the rules; anything else is a fault of ours. */
export function codeOf(run: () => void): string | null {
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
export const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ type: fc.constant('OPEN' as const), stream }),
  fc.record({ type: fc.constant('DATA' as const), stream, offset, payload: fc.uint8Array({ minLength: 1 }) }),
  fc.record({ type: fc.constant('CREDIT' as const), stream, taken: offset, window: fc.nat(2 ** 32 - 1) }),
  fc.record({ type: fc.constant('FIN' as const), stream, offset }),
  fc.record({ type: fc.constant('RESET' as const), stream, code: resetCode, text: resetText }),
  fc.record({ type: fc.constant('ACK' as const), stream, of: fc.constantFrom('FIN' as const, 'RESET' as const) }),
  fc.record({
    type: fc.constant('RESUME' as const),
    stream,
    received: offset,
    taken: offset,
    window: fc.nat(2 ** 32 - 1),
    fin: fc.boolean(),
    reset: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('SYNC' as const),
    stream: fc.constant(0 as const),
    last: fc.nat(2 ** 32 - 1),
    streams: fc.nat(2 ** 32 - 1),
  }),
  fc.record({ type: fc.constant('PING' as const), stream: fc.constant(0 as const) }),
  fc.record({ type: fc.constant('ARRIVED' as const), stream: fc.constant(0 as const), bytes: offset }),
)

export interface Mutation {
  readonly at: number
  readonly how: 'set' | 'cut' | 'drop' | 'insert'
  readonly value: number
}

export const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.nat(200),
  how: fc.constantFrom('set' as const, 'set' as const, 'cut' as const, 'drop' as const, 'insert' as const),
  value: fc.nat(255),
})

export function mutate(message: Uint8Array, mutations: readonly Mutation[]): Uint8Array {
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

/** Fuzzed messages of a test. */
export const RUNS = sample(100_000)
