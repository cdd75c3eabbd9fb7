/** What the two peers of a link say on channel 0: JSON, one object a message. `docs/protocol.md` describes each. */
import * as v from 'valibot'
import { fromBase64Url, fromUtf8, utf8 } from './bytes.ts'
import { type ErrorCode, isErrorCode, NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { NAME_PATTERN } from './names.ts'

const base64url = (bytes: number) =>
  v.pipe(
    v.string(),
    v.check((text) => fromBase64Url(text)?.length === bytes),
  )
const Channel = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(65_534))
const Code = v.custom<ErrorCode>(isErrorCode)
const Text = v.pipe(v.string(), v.maxLength(500))

const message = <T extends string, E extends v.ObjectEntries>(type: T, entries: E) =>
  v.strictObject({ type: v.literal(type), ...entries })

const ControlMessageSchema = v.variant('type', [
  message('hello', { version: v.pipe(v.number(), v.integer()), nonce: base64url(32), identity: base64url(32) }),
  message('proof', { mac: base64url(32), signature: base64url(64) }),
  /** access → share: I made data channel `channel` (negotiated, ordered) for this name; make yours. */
  message('open', { channel: Channel, name: v.pipe(v.string(), v.regex(NAME_PATTERN)) }),
  message('opened', { channel: Channel }),
  /** share → access: the name of this channel is not served here, or no longer. */
  message('closed', { channel: Channel, code: Code, message: Text }),
  /** The link ends, on purpose. */
  message('bye', { code: Code, message: Text }),
  message('ping', {}),
  message('pong', {}),
])

export type ControlMessage = v.InferOutput<typeof ControlMessageSchema>

export const encodeControl = (control: ControlMessage): Uint8Array => utf8(JSON.stringify(control))

/** Throws `message-malformed`. */
export function parseControl(bytes: Uint8Array): ControlMessage {
  if (bytes.length > LIMITS.controlMessageBytes) {
    throw new NearportError('message-malformed', `the other side sent a control message of ${bytes.length} bytes`)
  }
  let json: unknown
  try {
    json = JSON.parse(fromUtf8(bytes))
  } catch (error) {
    throw new NearportError('message-malformed', 'the other side sent a control message that is not JSON', {
      cause: error,
    })
  }
  const result = v.safeParse(ControlMessageSchema, json, { abortEarly: true })
  if (result.success) return result.output
  const at = v.getDotPath(result.issues[0]) ?? 'the message'
  throw new NearportError('message-malformed', `the other side sent a control message whose ${at} is not as it must be`)
}

/** For a side that is done with the other, and only waits for it to end as well. */
export function isBye(bytes: Uint8Array): boolean {
  try {
    return parseControl(bytes).type === 'bye'
  } catch (error) {
    if (error instanceof NearportError) return false
    throw error
  }
}
