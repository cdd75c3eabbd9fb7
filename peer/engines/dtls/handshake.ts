/**
 * The handshake of DTLS 1.2 with both sides' certificates (RFC 5246 section 7.3, RFC 6347 section 4.2), each side as one
 * run through its messages. `yield` waits for the next message of the other side; each comes once, in order, and what is
 * used is what is hashed. Anything else throws, and the handshake is over.
 */
import {
  createECDH,
  type ECDH,
  type KeyObject,
  randomBytes,
  sign,
  timingSafeEqual,
  verify,
  X509Certificate,
} from 'node:crypto'
import { type Message, messageBytes } from './fragments.ts'
import * as hellos from './hellos.ts'
import {
  exportKeyingMaterial,
  extendedMasterSecret,
  type Randoms,
  type Role,
  sha256,
  verifyData,
  writeKeys,
} from './keys.ts'
import * as m from './messages.ts'
import type { WriteKeys } from './protection.ts'
import { DtlsError } from './wire.ts'

const CURVE = 'prime256v1'

/** A message of the other side, with the number it came under. */
export type Numbered = Message & { readonly sequence: number }

/** Waits for messages; ends with what exports keying material, once both sides have finished. */
export type Steps = Generator<void, Exporter, Numbered>

/** Keying material by label and length in bytes (RFC 5705). */
export type Exporter = (label: string, length: number) => Buffer

/** The identity of this side, and the one it expects at the other end. */
export interface Parties {
  /** the certificate, DER, and its private key on secp256r1 */
  readonly certificate: Buffer
  readonly key: KeyObject
  /** SHA-256 of the certificate that the other side announced, on a way that can be trusted */
  readonly expected: Buffer
}

/** What a handshake does to the connection it is for. */
export interface Flow {
  /** Sends messages together, and again until the other side answers; the `encrypted` one behind the change to the keys. */
  send(flight: readonly Numbered[], encrypted?: Numbered): void
  /** From here on what comes is read with the keys, and nothing else counts. */
  useKeys(keys: Record<Role, WriteKeys>): void
}

/** All messages so far, as both sides hash them. */
class Transcript {
  readonly #messages: Buffer[] = []
  #sent = 0

  /** Of this side: numbers it. */
  add(message: Message): Numbered {
    const numbered = { ...message, sequence: this.#sent++ }
    this.#messages.push(messageBytes(message, numbered.sequence))
    return numbered
  }

  /** Of the other side: its body, if it is what is due. */
  take({ type, body, sequence }: Numbered, due: number): Buffer {
    if (type !== due) throw new DtlsError(`message ${type} came where ${due} is due`)
    this.#messages.push(messageBytes({ type, body }, sequence))
    return body
  }

  /** A greeting that was answered with a cookie does not count (RFC 6347 section 4.2.1). */
  restart(): void {
    this.#messages.length = 0
  }

  bytes(): Buffer {
    return Buffer.concat(this.#messages)
  }

  hash(): Buffer {
    return sha256(...this.#messages)
  }
}

export function* clientSteps(parties: Parties, flow: Flow): Steps {
  const transcript = new Transcript()
  const ecdh = createECDH(CURVE)
  const random = randomBytes(hellos.RANDOM_BYTES)
  flow.send([transcript.add(hellos.clientHello(random, Buffer.of()))])
  let answer = yield
  if (answer.type === m.TYPE.helloVerifyRequest) {
    const cookie = hellos.parseHelloVerifyRequest(answer.body)
    transcript.restart()
    flow.send([transcript.add(hellos.clientHello(random, cookie))])
    answer = yield
  }
  const randoms = { client: random, server: hellos.parseServerHello(transcript.take(answer, m.TYPE.serverHello)) }
  const theirKey = announcedKey(m.parseCertificate(transcript.take(yield, m.TYPE.certificate)), parties.expected)
  const exchange = m.parseServerKeyExchange(transcript.take(yield, m.TYPE.serverKeyExchange))
  requireSignature(theirKey, signedByServer(randoms, exchange.parameters), exchange.signature, 'ServerKeyExchange')
  m.parseCertificateRequest(transcript.take(yield, m.TYPE.certificateRequest))
  m.parseServerHelloDone(transcript.take(yield, m.TYPE.serverHelloDone))

  const flight = [m.certificate(parties.certificate), m.clientKeyExchange(ecdh.generateKeys())].map((message) =>
    transcript.add(message),
  )
  const master = extendedMasterSecret(sharedSecret(ecdh, exchange.point), transcript.hash())
  flight.push(transcript.add(m.certificateVerify(sign('sha256', transcript.bytes(), parties.key))))
  const ours = transcript.add(m.finished(verifyData(master, 'client', transcript.hash())))
  flow.useKeys(writeKeys(master, randoms))
  flow.send(flight, ours)
  requireFinished(master, 'server', transcript.hash(), transcript.take(yield, m.TYPE.finished))
  return (label, length) => exportKeyingMaterial(master, randoms, label, length)
}

export function* serverSteps(parties: Parties, flow: Flow): Steps {
  const transcript = new Transcript()
  const ecdh = createECDH(CURVE)
  const hello = hellos.parseClientHello(transcript.take(yield, m.TYPE.clientHello))
  const randoms = { client: hello.random, server: randomBytes(hellos.RANDOM_BYTES) }
  const signer = (parameters: Buffer) => sign('sha256', signedByServer(randoms, parameters), parties.key)
  // No cookie is asked for first: ICE has shown that the client receives at its address.
  const flight = [
    hellos.serverHello(randoms.server, hello),
    m.certificate(parties.certificate),
    m.serverKeyExchange(ecdh.generateKeys(), signer),
    m.certificateRequest(),
    m.serverHelloDone(),
  ]
  flow.send(flight.map((message) => transcript.add(message)))
  const theirKey = announcedKey(m.parseCertificate(transcript.take(yield, m.TYPE.certificate)), parties.expected)
  const point = m.parseClientKeyExchange(transcript.take(yield, m.TYPE.clientKeyExchange))
  const master = extendedMasterSecret(sharedSecret(ecdh, point), transcript.hash())
  const soFar = transcript.bytes()
  const signature = m.parseCertificateVerify(transcript.take(yield, m.TYPE.certificateVerify))
  requireSignature(theirKey, soFar, signature, 'CertificateVerify')

  flow.useKeys(writeKeys(master, randoms))
  const beforeFinished = transcript.hash()
  requireFinished(master, 'client', beforeFinished, transcript.take(yield, m.TYPE.finished))
  flow.send([], transcript.add(m.finished(verifyData(master, 'server', transcript.hash()))))
  return (label, length) => exportKeyingMaterial(master, randoms, label, length)
}

const signedByServer = ({ client, server }: Randoms, parameters: Buffer): Buffer =>
  Buffer.concat([client, server, parameters])

/** The key of the certificate that was announced; throws for any other certificate. */
function announcedKey(certificate: Buffer, expected: Buffer): KeyObject {
  if (!timingSafeEqual(sha256(certificate), expected)) throw new DtlsError('the certificate is not the one announced')
  let key: KeyObject
  try {
    key = new X509Certificate(certificate).publicKey
  } catch (error) {
    throw new DtlsError('the certificate cannot be read', { cause: error })
  }
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== CURVE) {
    throw new DtlsError('the key of the certificate is not on secp256r1')
  }
  return key
}

function requireSignature(key: KeyObject, covered: Buffer, signature: Buffer, what: string): void {
  if (!verify('sha256', covered, key, signature)) {
    throw new DtlsError(`${what} is not signed with the key of the certificate`)
  }
}

function requireFinished(master: Buffer, role: Role, messages: Buffer, body: Buffer): void {
  if (!timingSafeEqual(m.parseFinished(body), verifyData(master, role, messages))) {
    throw new DtlsError('Finished does not match the messages before it')
  }
}

function sharedSecret(ecdh: ECDH, point: Buffer): Buffer {
  try {
    return ecdh.computeSecret(point)
  } catch (error) {
    throw new DtlsError('the point of the key exchange is not on the curve', { cause: error })
  }
}
