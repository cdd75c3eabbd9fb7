/** What the two sides of a negotiation say to each other, sealed: descriptions, candidates, and what NAT they are behind. */
import * as v from 'valibot'
import { utf8 } from './bytes.ts'
import { formatCandidate, parseCandidate } from './candidates.ts'
import type { Bytes } from './crypto.ts'
import { formatDescription, parseDescription } from './description.ts'
import { NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { NatReportSchema } from './nat.ts'
import { parseJson, textOf } from './schema.ts'

const Candidate = v.object({
  candidate: v.pipe(v.string(), v.maxLength(512), v.regex(/^[\x20-\x7e]*$/)),
  sdpMid: v.optional(v.nullable(v.pipe(v.string(), v.maxLength(32)))),
  sdpMLineIndex: v.optional(v.nullable(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(16)))),
})
const Sdp = v.pipe(v.string(), v.maxLength(LIMITS.sdpChars))

/** What NAT the sender is behind; null: not known (yet); absent: a peer that knows nothing of this. */
const Nat = v.optional(v.nullable(NatReportSchema))

/** What simple-peer says to the other side; its requests to renegotiate are not part of this protocol. */
const SignalSchema = v.variant('type', [
  v.object({ type: v.literal('offer'), sdp: Sdp, nat: Nat }),
  v.object({ type: v.literal('answer'), sdp: Sdp, nat: Nat }),
  v.object({ type: v.literal('candidate'), candidate: Candidate }),
  /** What was not known yet when the description left; only to a peer whose own description has `nat`. */
  v.object({ type: v.literal('nat'), nat: NatReportSchema }),
])

export type Signal = v.InferOutput<typeof SignalSchema>

/** Throws `sdp-invalid`. */
export function parseSignal(value: unknown): Signal {
  const result = v.safeParse(SignalSchema, value, { abortEarly: true })
  if (!result.success) throw new NearportError('sdp-invalid', 'a negotiation message is not as it must be')
  return result.output
}

export const encodeSignal = (signal: Signal): Bytes => utf8(JSON.stringify(signal))

/** Throws `sdp-invalid`. */
export function decodeSignal(bytes: Uint8Array): Signal {
  const malformed = (what: string, cause?: unknown) =>
    new NearportError('sdp-invalid', `a negotiation message ${what}`, { cause })
  return parseJson(SignalSchema, textOf(bytes, malformed), malformed)
}

/**
 * Our own signal as it leaves: of a description only what the other side reads, and no candidate that it would not try.
 * Null: nothing is left to be said. Throws `sdp-invalid`.
 */
export function outgoing(signal: Signal): Signal | null {
  if (signal.type === 'nat') return signal
  if (signal.type === 'candidate') {
    const candidate = parseCandidate(signal.candidate.candidate)
    return candidate && { ...signal, candidate: { ...signal.candidate, candidate: formatCandidate(candidate) } }
  }
  const description = parseDescription(signal.sdp, signal.type)
  const candidates = description.candidates.map(parseCandidate).filter((candidate) => candidate !== null)
  return { ...signal, sdp: formatDescription({ ...description, candidates: candidates.map(formatCandidate) }) }
}
