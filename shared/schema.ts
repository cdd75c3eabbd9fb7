/** How what arrives from outside is parsed: JSON against a schema, strictly. */
import * as v from 'valibot'
import { fromBase64Url, fromUtf8 } from './bytes.ts'

/** Exactly `bytes` bytes as base64url. */
export const base64url = (bytes: number) =>
  v.pipe(
    v.string(),
    v.maxLength(Math.ceil((bytes * 4) / 3)),
    v.check((text) => fromBase64Url(text)?.length === bytes),
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
