/**
 * The health of a share as the signaling server keeps it: sealed, so that it can neither read nor make it, nor pass off
 * that of one name, or of another process, as that of this one. Old ones it can repeat; they show their age.
 */
import * as v from 'valibot'
import { fromBase64Url, fromUtf8, toBase64Url, utf8 } from './bytes.ts'
import { type Bytes, healthContext, Sealer } from './crypto.ts'
import { LIMITS } from './limits.ts'
import type { PeerRef } from './peer-key.ts'
import { HEALTH_CODES, HEALTH_STATES, type Health, type HealthCode, type HealthState, hasItsCode } from './status.ts'

/** As much as a Date takes. */
const Time = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(8.64e15))
const SealedSchema = v.pipe(
  v.strictObject({
    state: v.picklist(HEALTH_STATES),
    code: v.nullable(v.picklist(HEALTH_CODES)),
    /** ms since 1970, by the clock of the share host: since when it has been so, and when this was sealed */
    since: Time,
    at: Time,
  }),
  v.check((health) => hasItsCode(health)),
)

/** What there is to be had of a sealed health. */
export type OpenedHealth =
  | {
      readonly state: HealthState
      readonly code: HealthCode | null
      /** ms since 1970, by the clock of the share host */
      readonly since: number
      /** ms since it was sealed, by two clocks: it may be below 0 */
      readonly age: number
    }
  /** Too old, or too far ahead, to say anything. */
  | { readonly state: 'stale'; readonly age: number }
  /** Not made by a member for this name and process. */
  | { readonly state: 'unreadable' }

/** `peer`: the process that serves the name. `now`: ms since 1970. Every box has the same length, which so tells nothing. */
export async function sealHealth(
  networkKey: Bytes,
  name: string,
  peer: PeerRef,
  { state, code, sinceMs }: Health,
  now: number = Date.now(),
): Promise<string> {
  const text = JSON.stringify({ state, code, since: now - sinceMs, at: now }).padEnd(LIMITS.healthBytes)
  const sealer = await Sealer.forHealth(networkKey, name)
  return toBase64Url(await sealer.seal(utf8(text), healthContext(name, peer)))
}

/** Never rejects for what the box holds. */
export async function openHealth(
  networkKey: Bytes,
  name: string,
  peer: PeerRef,
  box: string,
  now: number = Date.now(),
): Promise<OpenedHealth> {
  const bytes = fromBase64Url(box)
  const sealer = await Sealer.forHealth(networkKey, name)
  const plain = bytes && (await sealer.open(bytes, healthContext(name, peer)))
  const health = plain && parse(plain)
  if (health === null) return { state: 'unreadable' }
  const { state, code, since, at } = health
  const age = now - at
  return Math.abs(age) > LIMITS.healthStale ? { state: 'stale', age } : { state, code, since, age }
}

/** A member may seal what is no health. */
function parse(plain: Uint8Array): v.InferOutput<typeof SealedSchema> | null {
  try {
    return v.parse(SealedSchema, JSON.parse(fromUtf8(plain)))
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError || error instanceof v.ValiError) return null
    throw error
  }
}
