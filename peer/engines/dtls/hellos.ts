/** The messages that begin a handshake: ClientHello, HelloVerifyRequest, ServerHello, and their extensions. */
import type { Message } from './fragments.ts'
import { ANY, CURVE, SCHEME, SCHEMES, TYPE } from './messages.ts'
import { VERSION } from './record.ts'
import { DtlsError, Reader, u8, u16, vector } from './wire.ts'

/** TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (RFC 5289) */
const SUITE = 0xc02b
/** TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746 section 3.3): a suite that says what the extension says */
const RENEGOTIATION_SCSV = 0x00ff
const NO_COMPRESSION = 0
const UNCOMPRESSED = 0
export const RANDOM_BYTES = 32
const SESSION_ID_BYTES_MOST = 32
const COOKIE_BYTES_MOST = 255

const EXTENSION = {
  supportedGroups: 10,
  pointFormats: 11,
  signatureAlgorithms: 13,
  extendedMasterSecret: 23,
  renegotiationInfo: 0xff01,
} as const

/** What a server may answer of it. */
const ANSWERED: readonly number[] = [
  EXTENSION.pointFormats,
  EXTENSION.extendedMasterSecret,
  EXTENSION.renegotiationInfo,
]

type Extensions = Map<number, Buffer>

const extension = (type: number, body: Buffer): Buffer => Buffer.concat([u16(type), vector(2, body)])

function parseExtensions(reader: Reader, what: string): Extensions {
  const extensions: Extensions = new Map()
  // A hello without extensions may leave out their length, too.
  if (reader.left === 0) return extensions
  const list = new Reader(reader.vector(2, 0, ANY), what)
  while (list.left > 0) {
    const type = list.u16()
    if (extensions.has(type)) throw new DtlsError(`${what} has extension ${type} twice`)
    extensions.set(type, list.vector(2, 0, ANY))
  }
  return extensions
}

/** Whether the extension is there; throws if it holds anything but `body`. */
function hasExactly(extensions: Extensions, type: number, body: Buffer, what: string): boolean {
  const found = extensions.get(type)
  if (found !== undefined && !found.equals(body)) throw new DtlsError(`${what}: extension ${type} holds something else`)
  return found !== undefined
}

/** Without it a certificate could be used in one handshake for another (RFC 7627). */
function requireExtendedMasterSecret(extensions: Extensions, what: string): void {
  if (!hasExactly(extensions, EXTENSION.extendedMasterSecret, Buffer.of(), what)) {
    throw new DtlsError(`${what} offers no extended master secret`)
  }
}

const EMPTY_RENEGOTIATION = vector(1)
const OUR_POINT_FORMATS = vector(1, u8(UNCOMPRESSED))

export function clientHello(random: Buffer, cookie: Buffer): Message {
  const extensions = [
    extension(EXTENSION.supportedGroups, vector(2, u16(CURVE))),
    extension(EXTENSION.pointFormats, OUR_POINT_FORMATS),
    extension(EXTENSION.signatureAlgorithms, SCHEMES),
    extension(EXTENSION.extendedMasterSecret, Buffer.of()),
    extension(EXTENSION.renegotiationInfo, EMPTY_RENEGOTIATION),
  ]
  const body = [
    u16(VERSION),
    random,
    vector(1),
    vector(1, cookie),
    vector(2, u16(SUITE)),
    vector(1, u8(NO_COMPRESSION)),
    vector(2, ...extensions),
  ]
  return { type: TYPE.clientHello, body: Buffer.concat(body) }
}

export interface ClientHello {
  readonly random: Buffer
  /** The client asks that the server say that it does not renegotiate in secret (RFC 5746). */
  readonly asksRenegotiation: boolean
  readonly asksPointFormats: boolean
}

export function parseClientHello(body: Buffer): ClientHello {
  const what = 'ClientHello'
  const reader = new Reader(body, what)
  // A client that knows DTLS 1.3 says 1.2 here, too (RFC 9147 section 5.3).
  if (reader.u16() !== VERSION) throw new DtlsError('the client does not speak DTLS 1.2')
  const random = reader.bytes(RANDOM_BYTES)
  reader.vector(1, 0, SESSION_ID_BYTES_MOST)
  reader.vector(1, 0, COOKIE_BYTES_MOST)
  const suites = reader.list16(1, ANY)
  const compressions = reader.vector(1, 1, ANY)
  const extensions = parseExtensions(reader, what)
  reader.end()
  if (!suites.includes(SUITE)) throw new DtlsError('the client does not offer ECDHE-ECDSA-AES128-GCM-SHA256')
  if (!compressions.includes(NO_COMPRESSION)) throw new DtlsError('the client insists on compression')
  requireExtendedMasterSecret(extensions, what)
  const list = (type: number) => new Reader(extensions.get(type) ?? vector(2), what).list16(0, ANY)
  if (!list(EXTENSION.supportedGroups).includes(CURVE)) throw new DtlsError('the client does not offer secp256r1')
  if (!list(EXTENSION.signatureAlgorithms).includes(SCHEME)) {
    throw new DtlsError('the client does not offer ecdsa_secp256r1_sha256')
  }
  const formats = extensions.get(EXTENSION.pointFormats)
  if (formats !== undefined && !new Reader(formats, what).vector(1, 1, ANY).includes(UNCOMPRESSED)) {
    throw new DtlsError('the client takes no uncompressed points')
  }
  const isEmpty = hasExactly(extensions, EXTENSION.renegotiationInfo, EMPTY_RENEGOTIATION, what)
  return {
    random,
    asksRenegotiation: isEmpty || suites.includes(RENEGOTIATION_SCSV),
    asksPointFormats: extensions.has(EXTENSION.pointFormats),
  }
}

/** The cookie. */
export function parseHelloVerifyRequest(body: Buffer): Buffer {
  const reader = new Reader(body, 'HelloVerifyRequest')
  // RFC 6347 section 4.2.1: servers say DTLS 1.0 here, and clients do not look.
  reader.u16()
  const cookie = reader.vector(1, 0, COOKIE_BYTES_MOST)
  reader.end()
  return cookie
}

export function serverHello(random: Buffer, { asksRenegotiation, asksPointFormats }: ClientHello): Message {
  const extensions = [extension(EXTENSION.extendedMasterSecret, Buffer.of())]
  if (asksRenegotiation) extensions.push(extension(EXTENSION.renegotiationInfo, EMPTY_RENEGOTIATION))
  if (asksPointFormats) extensions.push(extension(EXTENSION.pointFormats, OUR_POINT_FORMATS))
  const body = [u16(VERSION), random, vector(1), u16(SUITE), u8(NO_COMPRESSION), vector(2, ...extensions)]
  return { type: TYPE.serverHello, body: Buffer.concat(body) }
}

/** The server's random. */
export function parseServerHello(body: Buffer): Buffer {
  const what = 'ServerHello'
  const reader = new Reader(body, what)
  if (reader.u16() !== VERSION) throw new DtlsError('the server does not speak DTLS 1.2')
  const random = reader.bytes(RANDOM_BYTES)
  // An id to resume by, which nobody here does.
  reader.vector(1, 0, SESSION_ID_BYTES_MOST)
  if (reader.u16() !== SUITE) throw new DtlsError('the server chose a cipher suite that was not offered')
  if (reader.u8() !== NO_COMPRESSION) throw new DtlsError('the server chose a compression that was not offered')
  const extensions = parseExtensions(reader, what)
  reader.end()
  requireExtendedMasterSecret(extensions, what)
  hasExactly(extensions, EXTENSION.renegotiationInfo, EMPTY_RENEGOTIATION, what)
  for (const type of extensions.keys()) {
    if (!ANSWERED.includes(type))
      throw new DtlsError(`the server answers extension ${type}, which is not for it to answer`)
  }
  return random
}
