/** What the two peers of a link say on channel 0: JSON, one object a message. `docs/protocol.md` describes each. */
import * as v from 'valibot'
import { utf8 } from './bytes.ts'
import { type ErrorCode, isErrorCode, NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { ID_PATTERN, NAME_PATTERN } from './names.ts'
import { base64url, message, parseJson, publicKey, textOf } from './schema.ts'
import { LinkSchema, ShareStatusSchema } from './status.ts'
import { SpokenEntries } from './versions.ts'

const Slot = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(LIMITS.connectionsMost - 1))
const Channel = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(LIMITS.sharesPerTunnel))
const Name = v.pipe(v.string(), v.regex(NAME_PATTERN))
const Id = v.pipe(v.string(), v.regex(ID_PATTERN))
const Code = v.custom<ErrorCode>(isErrorCode)
const Text = v.pipe(v.string(), v.maxLength(500))

const ControlMessageSchema = v.variant('type', [
  /**
   * `tunnel`: of the access side, what the link is to carry, which of its tunnels to this peer that is, and which
   * processes of its environment were killed; null from the share side. Fields of later versions are ignored; the
   * proofs cover the whole message.
   */
  v.object({
    type: v.literal('hello'),
    ...SpokenEntries,
    nonce: base64url(32),
    identity: publicKey,
    tunnel: v.nullable(
      v.strictObject({ id: Id, slot: Slot, ended: v.pipe(v.array(Id), v.maxLength(LIMITS.predecessors)) }),
    ),
  }),
  message('proof', { mac: base64url(32), signature: base64url(64) }),
  /**
   * access → share: I made data channel `channel` (negotiated, ordered) for this name; make yours. `resume`: it takes
   * the place of the channel with this number on the link before.
   */
  message('open', { channel: Channel, name: Name, resume: v.boolean() }),
  message('opened', { channel: Channel }),
  /** share → access: the name of this channel is not served here, or no longer. */
  message('closed', { channel: Channel, code: Code, message: Text }),
  /** The link ends, on purpose. */
  message('bye', { code: Code, message: Text }),
  /** access → share: tell me of your names and links, now and at each change. */
  message('follow', {}),
  /** share → access: what there is of a name that is served here; null: it is served no longer. */
  message('status', { name: Name, status: v.nullable(ShareStatusSchema) }),
  /** share → access: the link to this access process; null: it is over. */
  message('link', { peer: Id, identity: publicKey, link: v.nullable(LinkSchema) }),
  message('ping', {}),
  message('pong', {}),
])

export type ControlMessage = v.InferOutput<typeof ControlMessageSchema>

export const encodeControl = (control: ControlMessage): Uint8Array<ArrayBuffer> => utf8(JSON.stringify(control))

/** Throws `message-malformed`. */
export function parseControl(bytes: Uint8Array): ControlMessage {
  const malformed = (what: string, cause?: unknown) =>
    new NearportError('message-malformed', `the other side sent a control message that ${what}`, { cause })
  if (bytes.length > LIMITS.controlMessageBytes) throw malformed(`has ${bytes.length} bytes`)
  return parseJson(ControlMessageSchema, textOf(bytes, malformed), malformed)
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
