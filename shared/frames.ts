/**
 * The frame codec of the mux: pure functions, no state. A data-channel message holds one or more whole frames.
 *
 *     0        1                 5           7
 *     | type   | stream (u32)    | length    | body: `length` bytes          all integers big endian
 *
 * `docs/protocol.md` gives every byte, and `test/frames.test.ts` pins them. Stream offsets count the bytes of one
 * direction of a stream from 0, as in QUIC (RFC 9000 section 2.2), so that a stream can go on on another channel.
 */
import { NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { textOf } from './schema.ts'

export const FrameType = {
  OPEN: 1,
  DATA: 2,
  CREDIT: 3,
  FIN: 4,
  RESET: 5,
  ACK: 6,
  RESUME: 7,
  PING: 8,
  SYNC: 9,
  ARRIVED: 10,
} as const

/** Why a stream was reset, as the wire has it: a number is never given a new meaning. */
export const RESET_CODES = {
  'peer-reset': 1,
  'target-refused': 2,
  'target-unreachable': 3,
  'target-timeout': 4,
  'queue-full': 5,
  'too-many-streams': 6,
  'idle-timeout': 7,
} as const

export type ResetCode = keyof typeof RESET_CODES

const RESET_NAMES = new Map<number, ResetCode>(
  Object.entries(RESET_CODES).map(([name, number]) => [number, name as ResetCode]),
)

export type Frame =
  /** A new stream. Both sides may send LIMITS.initialWindow bytes on it at once. */
  | { readonly type: 'OPEN'; readonly stream: number }
  /** Bytes of the stream from `offset` on. */
  | { readonly type: 'DATA'; readonly stream: number; readonly offset: number; readonly payload: Uint8Array }
  /** The receiver's socket took the first `taken` bytes, and has room for `window` more. Absolute, so idempotent. */
  | { readonly type: 'CREDIT'; readonly stream: number; readonly taken: number; readonly window: number }
  /** The sender's direction ends after `offset` bytes; the other direction goes on. */
  | { readonly type: 'FIN'; readonly stream: number; readonly offset: number }
  /** Both directions end at once; what was not delivered is dropped. */
  | { readonly type: 'RESET'; readonly stream: number; readonly code: ResetCode; readonly text: string }
  /** The FIN with all before it, or the RESET, has arrived: it need not be kept to be sent again. */
  | { readonly type: 'ACK'; readonly stream: number; readonly of: 'FIN' | 'RESET' }
  | ResumeFrame
  /**
   * The first frame on a channel that goes on where another ended; `streams` RESUME frames follow in its message.
   * `last`: the highest stream number its sender has seen or used. Its own stream is 0.
   */
  | { readonly type: 'SYNC'; readonly stream: 0; readonly last: number; readonly streams: number }
  /** Say at once how much has arrived. */
  | { readonly type: 'PING'; readonly stream: 0 }
  /** `bytes` of messages, of all kinds of frames, have arrived on this channel. */
  | { readonly type: 'ARRIVED'; readonly stream: 0; readonly bytes: number }

/** How far the receiver of a stream got: send again from `received` on. */
export interface ResumeFrame {
  readonly type: 'RESUME'
  readonly stream: number
  readonly received: number
  /** As in CREDIT. */
  readonly taken: number
  readonly window: number
  /** The FIN has arrived too. */
  readonly fin: boolean
  /** The stream was reset here: its RESET follows. */
  readonly reset: boolean
}

/** bytes before a frame's body. */
export const HEADER_BYTES = 7
const OFFSET_BYTES = 8
const CREDIT_BYTES = OFFSET_BYTES + 4
const CODE_BYTES = 2
const RESUME_BYTES = OFFSET_BYTES + CREDIT_BYTES + 1
const SYNC_BYTES = 8
/** Those that are about the channel itself. */
const OF_STREAM_0: ReadonlySet<number> = new Set([FrameType.PING, FrameType.SYNC, FrameType.ARRIVED])
const FLAG_FIN = 1
const FLAG_RESET = 2

/** bytes of a message that DATA adds to its payload. */
export const DATA_OVERHEAD = HEADER_BYTES + OFFSET_BYTES

function header(type: number, stream: number, bodyBytes: number): { bytes: Uint8Array<ArrayBuffer>; view: DataView } {
  const bytes = new Uint8Array(HEADER_BYTES + bodyBytes)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, type)
  view.setUint32(1, stream)
  view.setUint16(5, bodyBytes)
  return { bytes, view }
}

function setOffset(view: DataView, at: number, offset: number): void {
  view.setUint32(at, Math.floor(offset / 2 ** 32))
  view.setUint32(at + 4, offset >>> 0)
}

/** All of a DATA frame but its payload, so that the payload is copied only once, into the message. */
export function encodeDataHeader(stream: number, offset: number, payloadBytes: number): Uint8Array {
  const { bytes, view } = header(FrameType.DATA, stream, OFFSET_BYTES)
  view.setUint16(5, OFFSET_BYTES + payloadBytes)
  setOffset(view, HEADER_BYTES, offset)
  return bytes
}

/** `text` in UTF-8, cut to LIMITS.resetTextBytes, never inside a character. */
function resetText(text: string): Uint8Array {
  const bytes = new Uint8Array(LIMITS.resetTextBytes)
  return bytes.subarray(0, new TextEncoder().encodeInto(text, bytes).written)
}

export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.type) {
    case 'OPEN':
      return header(FrameType.OPEN, frame.stream, 0).bytes
    case 'DATA': {
      const head = encodeDataHeader(frame.stream, frame.offset, frame.payload.length)
      const bytes = new Uint8Array(head.length + frame.payload.length)
      bytes.set(head)
      bytes.set(frame.payload, head.length)
      return bytes
    }
    case 'CREDIT': {
      const { bytes, view } = header(FrameType.CREDIT, frame.stream, CREDIT_BYTES)
      setOffset(view, HEADER_BYTES, frame.taken)
      view.setUint32(HEADER_BYTES + OFFSET_BYTES, frame.window)
      return bytes
    }
    case 'FIN': {
      const { bytes, view } = header(FrameType.FIN, frame.stream, OFFSET_BYTES)
      setOffset(view, HEADER_BYTES, frame.offset)
      return bytes
    }
    case 'RESET': {
      const text = resetText(frame.text)
      const { bytes, view } = header(FrameType.RESET, frame.stream, CODE_BYTES + text.length)
      view.setUint16(HEADER_BYTES, RESET_CODES[frame.code])
      bytes.set(text, HEADER_BYTES + CODE_BYTES)
      return bytes
    }
    case 'ACK': {
      const { bytes, view } = header(FrameType.ACK, frame.stream, 1)
      view.setUint8(HEADER_BYTES, FrameType[frame.of])
      return bytes
    }
    case 'RESUME': {
      const { bytes, view } = header(FrameType.RESUME, frame.stream, RESUME_BYTES)
      setOffset(view, HEADER_BYTES, frame.received)
      setOffset(view, HEADER_BYTES + OFFSET_BYTES, frame.taken)
      view.setUint32(HEADER_BYTES + 2 * OFFSET_BYTES, frame.window)
      view.setUint8(HEADER_BYTES + RESUME_BYTES - 1, (frame.fin ? FLAG_FIN : 0) | (frame.reset ? FLAG_RESET : 0))
      return bytes
    }
    case 'SYNC': {
      const { bytes, view } = header(FrameType.SYNC, 0, SYNC_BYTES)
      view.setUint32(HEADER_BYTES, frame.last)
      view.setUint32(HEADER_BYTES + 4, frame.streams)
      return bytes
    }
    case 'PING':
      return header(FrameType.PING, 0, 0).bytes
    case 'ARRIVED': {
      const { bytes, view } = header(FrameType.ARRIVED, 0, OFFSET_BYTES)
      setOffset(view, HEADER_BYTES, frame.bytes)
      return bytes
    }
  }
}

const frameError = (what: string) => new NearportError('frame-malformed', `the other side sent ${what}`)

function malformed(what: string): never {
  throw frameError(what)
}

function getOffset(view: DataView, at: number): number {
  const offset = view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4)
  return Number.isSafeInteger(offset) ? offset : malformed('an offset beyond 2^53')
}

/** The frames of one message, in order. Payloads are views into `message`. Throws `frame-malformed`. */
export function* decodeFrames(message: Uint8Array): Generator<Frame, void, undefined> {
  if (message.length === 0) malformed('an empty message')
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  for (let at = 0; at < message.length; ) {
    if (message.length - at < HEADER_BYTES) malformed('half a frame header')
    const type = view.getUint8(at)
    const stream = view.getUint32(at + 1)
    const length = view.getUint16(at + 5)
    const body = at + HEADER_BYTES
    at = body + length
    if (at > message.length) malformed('a frame that is longer than its message')
    if ((stream === 0) !== OF_STREAM_0.has(type)) malformed(`a frame of type ${type} for stream ${stream}`)
    yield decodeBody(type, stream, view, message.subarray(body, at), body)
  }
}

function decodeBody(type: number, stream: number, view: DataView, body: Uint8Array, at: number): Frame {
  switch (type) {
    case FrameType.OPEN:
      if (body.length !== 0) malformed('an OPEN with a body')
      return { type: 'OPEN', stream }
    case FrameType.DATA:
      if (body.length <= OFFSET_BYTES) malformed('a DATA frame without data')
      return { type: 'DATA', stream, offset: getOffset(view, at), payload: body.subarray(OFFSET_BYTES) }
    case FrameType.CREDIT:
      if (body.length !== CREDIT_BYTES) malformed('a CREDIT of another length')
      return { type: 'CREDIT', stream, taken: getOffset(view, at), window: view.getUint32(at + OFFSET_BYTES) }
    case FrameType.FIN:
      if (body.length !== OFFSET_BYTES) malformed('a FIN of another length')
      return { type: 'FIN', stream, offset: getOffset(view, at) }
    case FrameType.RESET:
      return decodeReset(stream, view, body, at)
    case FrameType.ACK:
      return decodeAck(stream, body)
    case FrameType.RESUME:
      return decodeResume(stream, view, body, at)
    case FrameType.SYNC:
      if (body.length !== SYNC_BYTES) malformed('a SYNC of another length')
      return { type: 'SYNC', stream: 0, last: view.getUint32(at), streams: view.getUint32(at + 4) }
    case FrameType.PING:
      if (body.length !== 0) malformed('a PING with a body')
      return { type: 'PING', stream: 0 }
    case FrameType.ARRIVED:
      if (body.length !== OFFSET_BYTES) malformed('an ARRIVED of another length')
      return { type: 'ARRIVED', stream: 0, bytes: getOffset(view, at) }
    default:
      return malformed(`a frame of type ${type}`)
  }
}

function decodeReset(stream: number, view: DataView, body: Uint8Array, at: number): Frame {
  if (body.length < CODE_BYTES || body.length > CODE_BYTES + LIMITS.resetTextBytes)
    malformed('a RESET of another length')
  const code = RESET_NAMES.get(view.getUint16(at))
  if (code === undefined) malformed(`a RESET with the unknown code ${view.getUint16(at)}`)
  const text = textOf(body.subarray(CODE_BYTES), () => frameError('a RESET whose text is not UTF-8'))
  return { type: 'RESET', stream, code, text }
}

function decodeAck(stream: number, body: Uint8Array): Frame {
  if (body.length !== 1) malformed('an ACK of another length')
  const of = body[0] === FrameType.FIN ? 'FIN' : body[0] === FrameType.RESET ? 'RESET' : null
  return of === null ? malformed(`an ACK of type ${body[0]}`) : { type: 'ACK', stream, of }
}

function decodeResume(stream: number, view: DataView, body: Uint8Array, at: number): ResumeFrame {
  if (body.length !== RESUME_BYTES) malformed('a RESUME of another length')
  const flags = view.getUint8(at + RESUME_BYTES - 1)
  if (flags > (FLAG_FIN | FLAG_RESET)) malformed(`a RESUME with the unknown flags ${flags}`)
  return {
    type: 'RESUME',
    stream,
    received: getOffset(view, at),
    taken: getOffset(view, at + OFFSET_BYTES),
    window: view.getUint32(at + 2 * OFFSET_BYTES),
    fin: (flags & FLAG_FIN) !== 0,
    reset: (flags & FLAG_RESET) !== 0,
  }
}
