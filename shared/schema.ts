/** How what arrives from outside is parsed: JSON against a schema, strictly. */
import * as v from 'valibot'
import { fromBase64Url, fromUtf8 } from './bytes.ts'
import { isSoundPublicKey } from './ed25519.ts'

/** The last character of base64url, by the bytes beyond the last three: bits that stand for nothing are zero. */
const LAST = ['[A-Za-z0-9_-]', '[AQgw]', '[AEIMQUYcgkosw048]'] as const

/** Exactly `bytes` bytes as base64url, from 1. By a pattern: a server parses thousands of these a second. */
export const base64url = (bytes: number) =>
  v.pipe(v.string(), v.regex(new RegExp(`^[A-Za-z0-9_-]{${Math.ceil((bytes * 4) / 3) - 1}}${LAST[bytes % 3]}$`)))

/** An Ed25519 public key; see isSoundPublicKey for those that are refused. */
export const publicKey = v.pipe(
  base64url(32),
  v.check((text) => isSoundPublicKey(fromBase64Url(text) ?? new Uint8Array())),
)

/** A message of a union by `type`. Unknown fields are refused: a typo must not pass as an absent option. */
export const message = <T extends string, E extends v.ObjectEntries>(type: T, entries: E) =>
  v.strictObject({ type: v.literal(type), ...entries })

/** `bytes` as text; else throws what `malformed` makes of the words "is not UTF-8". */
export function textOf(bytes: Uint8Array, malformed: (what: string, cause?: unknown) => Error): string {
  try {
    return fromUtf8(bytes)
  } catch (error) {
    throw malformed('is not UTF-8', error)
  }
}

/** The value in `text`; else throws what `malformed` makes of the words "is not JSON" or "has a bad FIELD". */
export function parseJson<S extends v.GenericSchema>(
  schema: S,
  text: string,
  malformed: (what: string, cause?: unknown) => Error,
): v.InferOutput<S> {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw malformed('is not JSON', error)
  }
  const result = v.safeParse(schema, json, { abortEarly: true })
  if (result.success) return result.output
  // Where, not what: the value may be a secret sent by mistake.
  throw malformed(`has a bad ${v.getDotPath(result.issues[0]) ?? 'type'}`)
}
