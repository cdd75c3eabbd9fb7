/**
 * The signaling messages: JSON text frames on one WebSocket. `docs/protocol.md` describes them; here is the one
 * schema both sides parse what arrives with.
 */
import * as v from 'valibot'
import { SEAL_BYTES } from './crypto.ts'
import { type ErrorCode, isErrorCode, NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { ID_PATTERN, NAME_PATTERN } from './names.ts'
import { base64url, message, parseJson, publicKey } from './schema.ts'
import { SpokenEntries } from './versions.ts'

const Name = v.pipe(v.string(), v.regex(NAME_PATTERN))
const Id = v.pipe(v.string(), v.regex(ID_PATTERN))
const Request = v.pipe(v.number(), v.safeInteger(), v.minValue(1))
const Bytes32 = base64url(32)
const Identity = publicKey
const Box = v.pipe(v.string(), v.maxLength(LIMITS.signalBoxChars), v.regex(/^[A-Za-z0-9_-]+$/))
const HealthBox = base64url(LIMITS.healthBytes + SEAL_BYTES)
/** Shares and peers in one message: with the longest names, and a sealed health each, still under signalingMessageBytes. */
export const ENTRIES_PER_MESSAGE = 50
const entries = <S extends v.GenericSchema>(schema: S) => v.pipe(v.array(schema), v.maxLength(ENTRIES_PER_MESSAGE))
const Mode = v.literal('tcpTunnel')
const Port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))

const ClientMessageSchema = v.variant('type', [
  /** Fields of later versions are ignored; the proofs cover the whole text. */
  v.object({ type: v.literal('hello'), ...SpokenEntries, peer: Id, identity: Identity, nonce: Bytes32 }),
  /** Before version 3; only to be refused. */
  message('hello', { version: v.pipe(v.number(), v.integer(), v.maxValue(2)), peer: Id, identity: Bytes32 }),
  message('admit', { proof: Bytes32, signature: base64url(64) }),
  message('reserve', { request: Request, name: Name, mode: Mode }),
  message('release', { request: Request, name: Name }),
  /** Serve a name from this connection: a reserved one of this identity, or (ephemeral) one that nobody has. */
  message('claim', { request: Request, name: Name, ephemeral: v.boolean() }),
  message('unclaim', { request: Request, name: Name }),
  /** Be told the presence of a name now and at each change. */
  message('watch', { request: Request, name: Name }),
  message('unwatch', { request: Request, name: Name }),
  message('list', { request: Request }),
  /** Be told of all shares and all connected peers, now and at each change. */
  message('follow', { request: Request }),
  /** `owner`: the identity of `to`. The first signal of a session opens it between these two; no other can use it. */
  message('signal', { session: Id, to: Id, owner: Identity, box: Box }),
  message('end', { session: Id }),
  /** The newest health of a name that this connection serves, for `shares`. There is no answer. */
  message('health', { name: Name, box: HealthBox }),
  message('ping', {}),
])

/** online: a connected peer serves it; offline: reserved, not served; unknown: neither. */
const PresenceState = v.picklist(['online', 'offline', 'unknown'])

const ListedShare = v.strictObject({
  name: Name,
  online: v.boolean(),
  reserved: v.boolean(),
  mode: Mode,
  /** The identity that reserved or serves it. */
  owner: Identity,
  /** The peer that serves it; null offline. */
  peer: v.nullable(Id),
  /** The last that this peer has told of its target, sealed; null before. */
  health: v.nullable(HealthBox),
})

/** What is known of a name now. */
const ShareChange = v.strictObject({
  name: Name,
  /** The identity that reserved or serves it; null: nobody does any more. */
  owner: v.nullable(Identity),
  reserved: v.boolean(),
  /** The peer that serves it. */
  peer: v.nullable(Id),
})

const PeerChange = v.strictObject({ peer: Id, identity: Identity, connected: v.boolean() })

const ServerMessageSchema = v.variant('type', [
  /** As in a hello, fields of later versions are ignored. */
  v.object({ type: v.literal('challenge'), ...SpokenEntries, nonce: Bytes32 }),
  /**
   * proof: of the server, that it holds the verifier of this network. stunPort: UDP, at the host the peer reached the
   * server by; null when the server answers no STUN.
   */
  message('admitted', { proof: Bytes32, stunPort: v.nullable(Port) }),
  message('ok', { request: Request }),
  message('shares', { request: Request, shares: entries(ListedShare) }),
  /** request null: about the connection itself, which is closed after it. */
  message('refused', {
    request: v.nullable(Request),
    code: v.custom<ErrorCode>(isErrorCode),
    message: v.pipe(v.string(), v.maxLength(500)),
  }),
  message('presence', { name: Name, state: PresenceState, peer: v.nullable(Id), owner: v.nullable(Identity) }),
  /** To who follows: first all there is, in parts, then what has changed. */
  message('changes', {
    shares: entries(ShareChange),
    peers: entries(PeerChange),
  }),
  /** Another connection of the same identity now serves the name. */
  message('displaced', { name: Name }),
  message('signal', { session: Id, from: Id, owner: Identity, box: Box }),
  /** The session is over: the other side ended it or is gone. */
  message('ended', { session: Id, code: v.custom<ErrorCode>(isErrorCode) }),
  message('pong', {}),
])

export type ClientMessage = v.InferOutput<typeof ClientMessageSchema>
export type ServerMessage = v.InferOutput<typeof ServerMessageSchema>
export type ListedShare = v.InferOutput<typeof ListedShare>
export type ShareChange = v.InferOutput<typeof ShareChange>
export type PeerChange = v.InferOutput<typeof PeerChange>
export type Changes = Extract<ServerMessage, { type: 'changes' }>
export type Presence = Extract<ServerMessage, { type: 'presence' }>
export type SignalMessage = Extract<ServerMessage, { type: 'signal' }>
export type EndedMessage = Extract<ServerMessage, { type: 'ended' }>

const malformedFrom = (sender: string) => (what: string, cause?: unknown) =>
  new NearportError('message-malformed', `${sender} sent a message that ${what}`, { cause })

/** Throws `message-malformed`. */
export const parseClientMessage = (text: string): ClientMessage =>
  parseJson(ClientMessageSchema, text, malformedFrom('a peer'))

/** Throws `message-malformed`. */
export const parseServerMessage = (text: string): ServerMessage =>
  parseJson(ServerMessageSchema, text, malformedFrom('the server'))
