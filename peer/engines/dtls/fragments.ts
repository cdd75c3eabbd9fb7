/** Handshake messages as fragments, out and in (RFC 6347 sections 4.2.2 and 4.2.3). */
import { LIMITS } from '../../../shared/limits.ts'
import { DtlsError } from './wire.ts'

const HEADER_BYTES = 12
/** bytes of a fragment: with all headers and the tag it fits into a datagram that passes every path. */
const FRAGMENT_BYTES = 1100

export interface Message {
  readonly type: number
  readonly body: Buffer
}

/** The header of a message that is in one piece, which is also what both sides hash (RFC 6347 section 4.2.6). */
export function messageBytes({ type, body }: Message, sequence: number): Buffer {
  return Buffer.concat([header(type, body.length, sequence, 0, body.length), body])
}

export function fragmentsOf({ type, body }: Message, sequence: number): Buffer[] {
  const fragments: Buffer[] = []
  for (let at = 0; at === 0 || at < body.length; at += FRAGMENT_BYTES) {
    const piece = body.subarray(at, at + FRAGMENT_BYTES)
    fragments.push(Buffer.concat([header(type, body.length, sequence, at, piece.length), piece]))
  }
  return fragments
}

function header(type: number, length: number, sequence: number, offset: number, pieceLength: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES)
  bytes.writeUInt8(type, 0)
  bytes.writeUIntBE(length, 1, 3)
  bytes.writeUInt16BE(sequence, 4)
  bytes.writeUIntBE(offset, 6, 3)
  bytes.writeUIntBE(pieceLength, 9, 3)
  return bytes
}

export interface Fragment {
  readonly type: number
  readonly length: number
  readonly sequence: number
  readonly offset: number
  readonly piece: Buffer
}

/** The fragments in the content of a record. Throws a {@link DtlsError} when it holds anything else. */
export function* parseFragments(content: Buffer): Generator<Fragment> {
  if (content.length === 0) throw new DtlsError('a handshake record is empty')
  for (let at = 0; at < content.length; ) {
    if (at + HEADER_BYTES > content.length) throw new DtlsError('a handshake fragment is cut short')
    const [type, length, sequence] = [
      content.readUInt8(at),
      content.readUIntBE(at + 1, 3),
      content.readUInt16BE(at + 4),
    ]
    const [offset, pieceLength] = [content.readUIntBE(at + 6, 3), content.readUIntBE(at + 9, 3)]
    const piece = content.subarray(at + HEADER_BYTES, at + HEADER_BYTES + pieceLength)
    if (length > LIMITS.dtlsMessageBytes) throw new DtlsError(`a handshake message claims ${length} bytes`)
    if (piece.length < pieceLength || offset + pieceLength > length) {
      throw new DtlsError('a handshake fragment does not fit its message')
    }
    yield { type, length, sequence, offset, piece }
    at += HEADER_BYTES + pieceLength
  }
}

class PartialMessage {
  readonly type: number
  readonly body: Buffer
  readonly #has: Uint8Array
  #missing: number

  constructor(type: number, length: number) {
    this.type = type
    this.body = Buffer.alloc(length)
    this.#has = new Uint8Array(length)
    this.#missing = length
  }

  get isWhole(): boolean {
    return this.#missing === 0
  }

  /** What is there stays: a later fragment cannot change it. */
  add({ type, length, offset, piece }: Fragment): void {
    if (type !== this.type || length !== this.body.length) throw new DtlsError('two fragments contradict each other')
    for (const [index, byte] of piece.entries()) {
      if (this.#has[offset + index] === 1) continue
      this.#has[offset + index] = 1
      this.body[offset + index] = byte
      this.#missing--
    }
  }
}

/** Puts the messages of the other side together again, each once, in order. */
export class Reassembly {
  #next = 0
  readonly #partial = new Map<number, PartialMessage>()

  /** Whether the message of this number was delivered: who sends it again has missed our answer. */
  wasDelivered(sequence: number): boolean {
    return sequence < this.#next
  }

  add(fragment: Fragment): void {
    const { sequence, type, length } = fragment
    // What is too far ahead is sent again when it is due.
    if (this.wasDelivered(sequence) || sequence >= this.#next + LIMITS.dtlsMessagesAhead) return
    let partial = this.#partial.get(sequence)
    if (partial === undefined) {
      partial = new PartialMessage(type, length)
      this.#partial.set(sequence, partial)
    }
    partial.add(fragment)
  }

  /** The next message, once it is whole. */
  take(): (Message & { readonly sequence: number }) | null {
    const sequence = this.#next
    const partial = this.#partial.get(sequence)
    if (partial === undefined || !partial.isWhole) return null
    this.#partial.delete(sequence)
    this.#next++
    return { type: partial.type, body: partial.body, sequence }
  }

  /** Forgets what is not whole: what came without keys does not count once there are keys. */
  clear(): void {
    this.#partial.clear()
  }
}
