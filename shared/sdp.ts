/** What nearport itself reads in session descriptions (RFC 8866) and candidates (RFC 8839); the rest is the engine's. */
import * as v from 'valibot'
import { utf8 } from './bytes.ts'
import type { Bytes } from './crypto.ts'
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

/** The sender's engine exports keying material, so that the proofs have to cover it if the receiver's does as well. */
const Exports = v.optional(v.boolean())

/** What simple-peer says to the other side; its requests to renegotiate are not part of this protocol. */
const SignalSchema = v.variant('type', [
  v.object({ type: v.literal('offer'), sdp: Sdp, nat: Nat, exports: Exports }),
  v.object({ type: v.literal('answer'), sdp: Sdp, nat: Nat, exports: Exports }),
  v.object({ type: v.literal('candidate'), candidate: Candidate }),
  /** What was not known yet when the description left; only to a peer whose own description has `nat`. */
  v.object({ type: v.literal('nat'), nat: NatReportSchema }),
])

export type Signal = v.InferOutput<typeof SignalSchema>

/** Throws `sdp-invalid`. */
export function parseSignal(value: unknown): Signal {
  const result = v.safeParse(SignalSchema, value, { abortEarly: true })
  if (!result.success) throw new NearportError('sdp-invalid', 'a negotiation message is not as it must be')
  return withoutRelay(result.output)
}

export const encodeSignal = (signal: Signal): Bytes => utf8(JSON.stringify(withoutRelay(signal)))

/** Throws `sdp-invalid`. */
export function decodeSignal(bytes: Uint8Array): Signal {
  const malformed = (what: string, cause?: unknown) =>
    new NearportError('sdp-invalid', `a negotiation message ${what}`, { cause })
  return withoutRelay(parseJson(SignalSchema, textOf(bytes, malformed), malformed))
}

/** No byte of a job passes a relay: TURN candidates are dropped on the way out and on the way in. */
export function isRelay(candidate: string): boolean {
  return /\styp\s+relay(\s|$)/i.test(candidate)
}

function withoutRelay(signal: Signal): Signal {
  if (signal.type !== 'offer' && signal.type !== 'answer') return signal
  const lines = signal.sdp.split(/\r?\n/).filter((line) => !(line.startsWith('a=candidate:') && isRelay(line)))
  return { ...signal, sdp: lines.join('\r\n') }
}

/**
 * The one SHA-256 certificate fingerprint a description names (RFC 8122). Throws `sdp-invalid` if there is none or
 * there are several: with a choice, the one that was proven might not be the one that was used.
 */
export function fingerprint(sdp: string): string {
  const found = new Set<string>()
  for (const match of sdp.matchAll(/^a=fingerprint:(\S+)\s+(\S+)\s*$/gim)) {
    found.add(`${match[1]?.toLowerCase()} ${match[2]?.toUpperCase()}`)
  }
  const [only, ...others] = found
  if (only === undefined || others.length > 0 || !/^sha-256 (?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/.test(only)) {
    throw new NearportError('sdp-invalid', 'a session description must name exactly one SHA-256 fingerprint')
  }
  return only
}
