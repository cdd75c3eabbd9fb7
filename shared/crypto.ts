/**
 * All cryptography, by WebCrypto. The network key K (256 bits) is in the link that `nearport signal` prints, and
 * reaches the server only as an admission verifier: what is derived for one purpose says nothing about the others
 * (HKDF-SHA-256, RFC 5869).
 */
import { lengthPrefixed, toBase64Url, utf8 } from './bytes.ts'
import { isSoundPublicKey } from './ed25519.ts'
import { identityFingerprint } from './fingerprint.ts'
import type { PeerRef } from './peer-key.ts'

export type Bytes = Uint8Array<ArrayBuffer>

export const NETWORK_KEY_BYTES = 32
export const NONCE_BYTES = 32
const GCM_IV_BYTES = 12
const GCM_TAG_BYTES = 16
/** What a sealed message is longer by. */
export const SEAL_BYTES = GCM_IV_BYTES + GCM_TAG_BYTES

export const randomBytes = (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length))

export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
}

/** What HKDF is told of a purpose. */
export const hkdfInfo = (purpose: string): Bytes => utf8(`nearport/1 ${purpose}`)
export const HKDF_BYTES = 32

/** 32 bytes derived from `key` for one purpose. */
export async function derive(key: Bytes, purpose: string): Promise<Bytes> {
  const material = await crypto.subtle.importKey('raw', key, 'HKDF', false, ['deriveBits'])
  const algorithm = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: hkdfInfo(purpose) }
  return new Uint8Array(await crypto.subtle.deriveBits(algorithm, material, 8 * HKDF_BYTES))
}

/** What the signaling server keeps of K: enough to admit a peer, useless to read or forge what peers say. */
export const admissionVerifier = (networkKey: Bytes): Promise<Bytes> => derive(networkKey, 'admission')

export const NETWORK_ID_PURPOSE = 'network id'
/** What tells one network from another, without a secret: members know it from K, the server from the verifier. */
export const networkId = (verifier: Bytes): Promise<Bytes> => derive(verifier, NETWORK_ID_PURPOSE)

export class MacKey {
  readonly #key: CryptoKey

  private constructor(key: CryptoKey) {
    this.#key = key
  }

  static async import(raw: Bytes): Promise<MacKey> {
    return new MacKey(
      await crypto.subtle.importKey('raw', raw, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']),
    )
  }

  async sign(message: Bytes): Promise<Bytes> {
    return new Uint8Array(await crypto.subtle.sign('HMAC', this.#key, message))
  }

  /** Compares in constant time. */
  verify(mac: Bytes, message: Bytes): Promise<boolean> {
    return crypto.subtle.verify('HMAC', this.#key, mac, message)
  }
}

/**
 * Seals and opens messages with AES-256-GCM (NIST SP 800-38D); `context` is authenticated, not sent. IVs are random, so
 * that one key is good for 2^32 messages (section 8.3): each session has a key of its own, and the health of each name.
 */
export class Sealer {
  readonly #key: CryptoKey

  private constructor(key: CryptoKey) {
    this.#key = key
  }

  /** For the signals of one negotiation. */
  static forSession(networkKey: Bytes, session: string): Promise<Sealer> {
    return Sealer.#from(networkKey, `signals ${session}`)
  }

  /** For the health of one share. */
  static forHealth(networkKey: Bytes, name: string): Promise<Sealer> {
    return Sealer.#from(networkKey, `health ${name}`)
  }

  static async #from(networkKey: Bytes, purpose: string): Promise<Sealer> {
    const raw = await derive(networkKey, purpose)
    return new Sealer(await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt', 'decrypt']))
  }

  async seal(plain: Bytes, context: Bytes): Promise<Bytes> {
    const iv = randomBytes(GCM_IV_BYTES)
    const box = await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData: context }, this.#key, plain)
    const out = new Uint8Array(iv.length + box.byteLength)
    out.set(iv)
    out.set(new Uint8Array(box), iv.length)
    return out
  }

  /** The plain bytes, or null if the box was not made with this key for this context. */
  async open(box: Bytes, context: Bytes): Promise<Bytes | null> {
    if (box.length < GCM_IV_BYTES) return null
    const iv = box.slice(0, GCM_IV_BYTES)
    try {
      const algorithm = { name: 'AES-GCM', iv, additionalData: context }
      return new Uint8Array(await crypto.subtle.decrypt(algorithm, this.#key, box.slice(GCM_IV_BYTES)))
    } catch (error) {
      // WebCrypto reports a failed authentication as OperationError, and only that is an answer.
      if (error instanceof DOMException && error.name === 'OperationError') return null
      throw error
    }
  }
}

/** An environment's Ed25519 key pair (RFC 8032). The public key, base64url, is how others know it. */
export class Identity {
  readonly publicKey: string
  readonly #privateKey: CryptoKey

  private constructor(publicKey: string, privateKey: CryptoKey) {
    this.publicKey = publicKey
    this.#privateKey = privateKey
  }

  /** A new identity, and the secret that {@link Identity.import} takes (PKCS #8). */
  static async generate(): Promise<{ identity: Identity; secret: Bytes }> {
    const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])
    if (!('privateKey' in pair)) throw new TypeError('Ed25519 gave no key pair')
    const secret = new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey))
    return { identity: await Identity.import(secret), secret }
  }

  /** Of a key pair for Ed25519, whose private key need not be extractable. */
  static async of({ publicKey, privateKey }: CryptoKeyPair): Promise<Identity> {
    return new Identity(toBase64Url(new Uint8Array(await crypto.subtle.exportKey('raw', publicKey))), privateKey)
  }

  /** Throws a DOMException when `secret` is not an Ed25519 private key. */
  static async import(secret: Bytes): Promise<Identity> {
    const extractable = await crypto.subtle.importKey('pkcs8', secret, 'Ed25519', true, ['sign'])
    const { x } = await crypto.subtle.exportKey('jwk', extractable)
    if (x === undefined) throw new TypeError('the private key has no public half')
    return new Identity(x, await crypto.subtle.importKey('pkcs8', secret, 'Ed25519', false, ['sign']))
  }

  async sign(message: Bytes): Promise<Bytes> {
    return new Uint8Array(await crypto.subtle.sign('Ed25519', this.#privateKey, message))
  }
}

/** Whether `identity` signed `message`; false for a public key that is none, or nobody's. */
export async function verifySignature(identity: Bytes, signature: Bytes, message: Bytes): Promise<boolean> {
  if (!isSoundPublicKey(identity)) return false
  try {
    const key = await crypto.subtle.importKey('raw', identity, 'Ed25519', false, ['verify'])
    return await crypto.subtle.verify('Ed25519', key, signature, message)
  } catch (error) {
    // Some engines refuse a point that is not on the curve at import (DataError), some at verification.
    if (error instanceof DOMException) return false
    throw error
  }
}

/**
 * What a peer authenticates with the verifier, and signs with its identity, to be admitted by the server of one network.
 * `hello` and `challenge` are the messages as they were sent: nonces, versions, capabilities and whatever they hold.
 */
export function admissionTranscript(network: Bytes, hello: string, challenge: string): Bytes {
  return lengthPrefixed('nearport/3 admission', network, hello, challenge)
}

/** What the server authenticates with the verifier in return. */
export function admittedTranscript(network: Bytes, hello: string, challenge: string): Bytes {
  return lengthPrefixed('nearport/3 admitted', network, hello, challenge)
}

/** What is authenticated with a sealed signal: nobody can move it to another session, peer, direction or place. */
export function signalContext(session: string, from: PeerRef, to: PeerRef, sequence: number): Bytes {
  const peers = [from.peer, from.identity, to.peer, to.identity]
  return lengthPrefixed('nearport/3 signal', session, ...peers, String(sequence))
}

/** What is authenticated with a sealed health: it is that of this name, as served by this process. */
export function healthContext(name: string, { peer, identity }: PeerRef): Bytes {
  return lengthPrefixed('nearport/3 health', name, peer, identity)
}

/** The first half of its fingerprint: enough to tell environments apart in a log. */
export const shortIdentity = (identity: string | Bytes): string => identityFingerprint(identity).slice(0, 9)
