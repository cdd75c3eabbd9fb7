/** The record layer: what a datagram is made of (RFC 6347 section 4.1). */

export const CONTENT = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const

/** DTLS 1.2 */
export const VERSION = 0xfefd
/** DTLS 1.0: what a ClientHello may be labelled with, as its sender does not know yet what the other side speaks. */
const VERSION_OF_GREETINGS = 0xfeff

/** Before the keys, and with them. There is no third: nobody renegotiates. */
export const EPOCH_PLAIN = 0
export const EPOCH_ENCRYPTED = 1

export const RECORD_HEADER_BYTES = 13

export interface DtlsRecord {
  readonly header: Buffer
  readonly type: number
  readonly epoch: number
  readonly number: number
  readonly body: Buffer
}

export function recordHeader(type: number, epoch: number, number: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(RECORD_HEADER_BYTES)
  header.writeUInt8(type, 0)
  header.writeUInt16BE(VERSION, 1)
  header.writeUInt16BE(epoch, 3)
  header.writeUIntBE(number, 5, 6)
  header.writeUInt16BE(length, 11)
  return header
}

/** The records of a datagram, up to the first that is none: anybody can send a datagram, so that this is no error. */
export function* recordsOf(datagram: Buffer): Generator<DtlsRecord> {
  for (let at = 0; at + RECORD_HEADER_BYTES <= datagram.length; ) {
    const header = datagram.subarray(at, at + RECORD_HEADER_BYTES)
    const [type, version, epoch] = [header.readUInt8(0), header.readUInt16BE(1), header.readUInt16BE(3)]
    const end = at + RECORD_HEADER_BYTES + header.readUInt16BE(11)
    const isVersion = version === VERSION || (version === VERSION_OF_GREETINGS && epoch === EPOCH_PLAIN)
    if (!isVersion || end > datagram.length) return
    yield {
      header,
      type,
      epoch,
      number: header.readUIntBE(5, 6),
      body: datagram.subarray(at + RECORD_HEADER_BYTES, end),
    }
    at = end
  }
}
