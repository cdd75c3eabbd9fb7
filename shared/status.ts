/** What a share peer says of itself: the health and the traffic of each name it serves, and the links it has. */
import * as v from 'valibot'
import type { CandidateEnd, CandidatePair } from './engine.ts'
import type { ErrorCode } from './errors.ts'
import type { PeerRef } from './peer-key.ts'

/** Why a target takes no connections. */
export const HEALTH_CODES = [
  'target-refused',
  'target-timeout',
  'target-unreachable',
] as const satisfies readonly ErrorCode[]
export type HealthCode = (typeof HEALTH_CODES)[number]

/** unknown: nobody has looked yet, and no job has come. off: nobody is to look. */
export const HEALTH_STATES = ['up', 'down', 'unknown', 'off'] as const
export type HealthState = (typeof HEALTH_STATES)[number]

/** Only what is down has a code, and that has one. */
export const hasItsCode = ({ state, code }: { state: HealthState; code: HealthCode | null }): boolean =>
  (state === 'down') === (code !== null)

/** A number of things, bytes or ms. */
const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

const HealthSchema = v.pipe(
  v.strictObject({
    state: v.picklist(HEALTH_STATES),
    code: v.nullable(v.picklist(HEALTH_CODES)),
    /** ms since the state holds */
    sinceMs: Count,
  }),
  v.check((health) => hasItsCode(health)),
)

export const ShareStatusSchema = v.strictObject({
  health: HealthSchema,
  /** connections to the target now */
  streams: Count,
  /** connections that wait for a free place under --max-connections */
  queued: Count,
  /** bytes the target has taken, and bytes that came from it, since the share began */
  toTarget: Count,
  fromTarget: Count,
  /** ms since the share began */
  servedMs: Count,
})

/** A link, without who its access side is. */
export const LinkSchema = v.strictObject({
  /** See {@link pathType}; null while it is not known. */
  path: v.nullable(v.picklist(['host', 'srflx', 'prflx'])),
  /** ms from the last ping to its pong, which waits behind a job; null before the first */
  roundTripMs: v.nullable(Count),
  streams: Count,
  /** bytes on the share channels of the link, both ways, frames included */
  bytes: Count,
})

export type Health = v.InferOutput<typeof HealthSchema>
export type ShareStatus = v.InferOutput<typeof ShareStatusSchema>
/** With its access side. */
export interface LinkView extends v.InferOutput<typeof LinkSchema>, PeerRef {}

/** All that a share peer has said of itself on one link. */
export interface PeerStatus {
  /** by name: all that it serves */
  readonly names: ReadonlyMap<string, ShareStatus>
  /** by the key of the access side (peerKey): all that are ready */
  readonly links: ReadonlyMap<string, LinkView>
}

/** Addresses no NAT gives to those outside: loopback, link-local, and private ones (RFC 1918, RFC 4193). */
const OWN = /^(10\.|127\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|192\.168\.|::1$|fe[89ab][\da-f]:|f[cd][\da-f]{2}:)/i

/** How two peers meet, in a word: host where both use their own addresses, else how the one behind a NAT is reached. */
export function pathType({ local, remote }: CandidatePair): LinkView['path'] {
  const type = [remote, local].map(endType).find((type) => type !== 'host') ?? 'host'
  return type === 'relay' ? null : type
}

/** A check may come before the candidate it is from, and browsers hide their own addresses: both are prflx, without a NAT. */
const endType = ({ type, address }: CandidateEnd): CandidateEnd['type'] =>
  type === 'prflx' && OWN.test(address) ? 'host' : type
