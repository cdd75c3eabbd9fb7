/**
 * The handshake messages of DTLS 1.2 as nearport speaks it: one cipher suite, one curve, one signature scheme, all of them
 * those that every WebRTC endpoint has to know (RFC 8827 section 6.5). Layouts: RFC 5246 section 7.4, RFC 8422 section 5.
 */
import type { Message } from './fragments.ts'
import { VERIFY_DATA_BYTES } from './keys.ts'
import { DtlsError, Reader, u8, u16, vector } from './wire.ts'

export const TYPE = {
  clientHello: 1,
  serverHello: 2,
  helloVerifyRequest: 3,
  certificate: 11,
  serverKeyExchange: 12,
  certificateRequest: 13,
  serverHelloDone: 14,
  certificateVerify: 15,
  clientKeyExchange: 16,
  finished: 20,
} as const

/** secp256r1 */
export const CURVE = 23
const NAMED_CURVE = 3
/** The first byte of an uncompressed point. */
const UNCOMPRESSED_POINT = 4
/** bytes of an uncompressed point of the curve */
export const POINT_BYTES = 65
/** ecdsa_secp256r1_sha256 */
export const SCHEME = 0x0403
/** ecdsa_sign */
const CERTIFICATE_TYPE = 64
/** bytes of an ECDSA signature: two integers of 33 bytes at most, and their DER */
const SIGNATURE_BYTES_MOST = 72
/** bytes of lists nobody here reads to the end; LIMITS.dtlsMessageBytes bounds the message */
export const ANY = 0xffff

/** The list of the signature schemes that count. */
export const SCHEMES = vector(2, u16(SCHEME))

export function certificate(der: Buffer): Message {
  return { type: TYPE.certificate, body: vector(3, vector(3, der)) }
}

/** The certificate of the other side itself, DER; those of its issuers, if any, do not matter. */
export function parseCertificate(body: Buffer): Buffer {
  const reader = new Reader(body, 'Certificate')
  const list = new Reader(reader.vector(3, 1, body.length), 'Certificate')
  reader.end()
  const der = list.vector(3, 1, body.length)
  while (list.left > 0) list.vector(3, 1, body.length)
  return der
}

function parsePoint(reader: Reader, what: string): Buffer {
  const point = reader.vector(1, POINT_BYTES, POINT_BYTES)
  if (point[0] !== UNCOMPRESSED_POINT) throw new DtlsError(`the point of ${what} is not uncompressed`)
  return point
}

/** What the server's key exchange signs, behind both randoms (RFC 8422 section 5.4). */
const exchangeParameters = (point: Buffer): Buffer => Buffer.concat([u8(NAMED_CURVE), u16(CURVE), vector(1, point)])

const signed = (signature: Buffer): Buffer => Buffer.concat([u16(SCHEME), vector(2, signature)])

function parseSigned(reader: Reader, what: string): Buffer {
  if (reader.u16() !== SCHEME) throw new DtlsError(`${what} is signed by a scheme that was not offered`)
  const signature = reader.vector(2, 1, SIGNATURE_BYTES_MOST)
  reader.end()
  return signature
}

/** `sign` is given what the signature covers, behind both randoms. */
export function serverKeyExchange(point: Buffer, sign: (parameters: Buffer) => Buffer): Message {
  const parameters = exchangeParameters(point)
  return { type: TYPE.serverKeyExchange, body: Buffer.concat([parameters, signed(sign(parameters))]) }
}

export interface ServerKeyExchange {
  readonly point: Buffer
  readonly parameters: Buffer
  readonly signature: Buffer
}

export function parseServerKeyExchange(body: Buffer): ServerKeyExchange {
  const what = 'ServerKeyExchange'
  const reader = new Reader(body, what)
  if (reader.u8() !== NAMED_CURVE || reader.u16() !== CURVE) {
    throw new DtlsError('the server chose a curve that was not offered')
  }
  const point = parsePoint(reader, what)
  return { point, parameters: exchangeParameters(point), signature: parseSigned(reader, what) }
}

export function certificateRequest(): Message {
  return {
    type: TYPE.certificateRequest,
    body: Buffer.concat([vector(1, u8(CERTIFICATE_TYPE)), SCHEMES, vector(2)]),
  }
}

/** Throws unless the server takes a certificate such as ours. */
export function parseCertificateRequest(body: Buffer): void {
  const reader = new Reader(body, 'CertificateRequest')
  const types = reader.vector(1, 1, 255)
  const schemes = reader.list16(1, ANY)
  reader.vector(2, 0, ANY)
  reader.end()
  if (!types.includes(CERTIFICATE_TYPE) || !schemes.includes(SCHEME)) {
    throw new DtlsError('the server takes no certificate with a key for ecdsa_secp256r1_sha256')
  }
}

export const serverHelloDone = (): Message => ({ type: TYPE.serverHelloDone, body: Buffer.of() })

export function parseServerHelloDone(body: Buffer): void {
  new Reader(body, 'ServerHelloDone').end()
}

export const clientKeyExchange = (point: Buffer): Message => ({ type: TYPE.clientKeyExchange, body: vector(1, point) })

/** The client's point. */
export function parseClientKeyExchange(body: Buffer): Buffer {
  const reader = new Reader(body, 'ClientKeyExchange')
  const point = parsePoint(reader, 'ClientKeyExchange')
  reader.end()
  return point
}

export const certificateVerify = (signature: Buffer): Message => ({
  type: TYPE.certificateVerify,
  body: signed(signature),
})

/** The signature. */
export const parseCertificateVerify = (body: Buffer): Buffer =>
  parseSigned(new Reader(body, 'CertificateVerify'), 'CertificateVerify')

export const finished = (data: Buffer): Message => ({ type: TYPE.finished, body: data })

export function parseFinished(body: Buffer): Buffer {
  const reader = new Reader(body, 'Finished')
  const data = reader.bytes(VERIFY_DATA_BYTES)
  reader.end()
  return data
}
