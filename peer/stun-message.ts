/**
 * The two STUN messages a peer needs (RFC 8489 section 5, RFC 5780 section 7). werift has a codec, but every peer looks at
 * its NAT, and those on the native engine should not load all of werift for that.
 */
import { randomBytes } from 'node:crypto'
import type { HostPort } from '../shared/hostport.ts'
import { canonical } from './addresses.ts'

/** The flags of CHANGE-REQUEST: from where the server is to answer. */
export const CHANGE = { nothing: 0, port: 2, both: 6 } as const
export type Change = (typeof CHANGE)[keyof typeof CHANGE]

export interface BindingRequest {
  readonly bytes: Buffer
  /** In hexadecimal; the answer carries it. */
  readonly transaction: string
}

export interface BindingAnswer {
  readonly transaction: string
  /** Where the server sees the socket. */
  readonly mapped: HostPort
  /** The server's other address and port; its host is 0.0.0.0 or :: when it has another port only. */
  readonly other: HostPort | null
}

const REQUEST = 0x0001
const ANSWER = 0x0101
const COOKIE = 0x2112a442
const HEADER_BYTES = 20
const CHANGE_REQUEST = 0x0003
const XOR_MAPPED_ADDRESS = 0x0020
const SOFTWARE = 0x8022
const OTHER_ADDRESS = 0x802c

/** A server answers in full only to a request that is no shorter than its answer, and the longest has 92 bytes. */
const FILLING = Buffer.from(' '.repeat(60))

export function bindingRequest(change: Change): BindingRequest {
  const flags = Buffer.alloc(4)
  flags.writeUInt32BE(change)
  const body = Buffer.concat([attribute(CHANGE_REQUEST, flags), attribute(SOFTWARE, FILLING)])
  const header = Buffer.alloc(8)
  header.writeUInt16BE(REQUEST)
  header.writeUInt16BE(body.length, 2)
  header.writeUInt32BE(COOKIE, 4)
  const transaction = randomBytes(12)
  return { bytes: Buffer.concat([header, transaction, body]), transaction: transaction.toString('hex') }
}

/** Both attributes are a multiple of four bytes, so that nothing need be padded. */
function attribute(type: number, value: Buffer): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt16BE(type)
  header.writeUInt16BE(value.length, 2)
  return Buffer.concat([header, value])
}

/** null: not an answer to a binding request, or one that does not say where the socket is seen. */
export function parseBindingAnswer(datagram: Buffer): BindingAnswer | null {
  if (datagram.length < HEADER_BYTES || datagram.readUInt16BE(0) !== ANSWER || datagram.readUInt32BE(4) !== COOKIE) {
    return null
  }
  if (datagram.readUInt16BE(2) !== datagram.length - HEADER_BYTES) return null
  const found = new Map<number, Buffer>()
  for (let at = HEADER_BYTES; at + 4 <= datagram.length; ) {
    const end = at + 4 + datagram.readUInt16BE(at + 2)
    if (end > datagram.length) return null
    const type = datagram.readUInt16BE(at)
    // The first of a kind counts (RFC 8489 section 14).
    if (!found.has(type)) found.set(type, datagram.subarray(at + 4, end))
    at = Math.ceil(end / 4) * 4
  }
  // The cookie and the transaction id.
  const mask = datagram.subarray(4, HEADER_BYTES)
  const mapped = addressIn(found.get(XOR_MAPPED_ADDRESS), mask)
  if (mapped === null) return null
  const transaction = datagram.toString('hex', 8, HEADER_BYTES)
  return { transaction, mapped, other: addressIn(found.get(OTHER_ADDRESS), Buffer.alloc(mask.length)) }
}

function addressIn(value: Buffer | undefined, mask: Buffer): HostPort | null {
  const bytes = value?.[1] === 1 ? 4 : 16
  if (value === undefined || value.length !== 4 + bytes || (value[1] !== 1 && value[1] !== 2)) return null
  const port = value.readUInt16BE(2) ^ mask.readUInt16BE(0)
  const address = Buffer.from(value.subarray(4).map((byte, index) => byte ^ (mask[index] ?? 0)))
  const host = bytes === 4 ? address.join('.') : address.toString('hex').replaceAll(/(.{4})(?!$)/g, '$1:')
  return port === 0 ? null : { host: canonical(host), port }
}
