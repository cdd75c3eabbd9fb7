/** Who may come in: a peer that holds the network key and the private key of the identity it names. */
import {
  createHmac,
  createPublicKey,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import { toBase64Url } from '../shared/bytes.ts'
import {
  admissionTranscript,
  admissionVerifier,
  admittedTranscript,
  type Bytes,
  HKDF_BYTES,
  hkdfInfo,
  NETWORK_ID_PURPOSE,
  NETWORK_KEY_BYTES,
  NONCE_BYTES,
  randomBytes,
} from '../shared/crypto.ts'
import { NearportError } from '../shared/errors.ts'
import type { ClientMessage } from '../shared/messages.ts'
import type { Store } from './store.ts'

export type Hello = Extract<ClientMessage, { type: 'hello' }>
export type Admit = Extract<ClientMessage, { type: 'admit' }>

/** What a peer and the server have said so far; the texts as they were sent. */
export interface Attempt {
  readonly identity: string
  readonly hello: string
  readonly challenge: string
}

/** By node:crypto: WebCrypto hands each step to another thread, which costs more than the step. */
export class Admission {
  readonly #verifier: KeyObject
  readonly #network: Bytes

  constructor(verifier: Bytes) {
    this.#verifier = createSecretKey(verifier)
    const info = hkdfInfo(NETWORK_ID_PURPOSE)
    this.#network = new Uint8Array(hkdfSync('sha256', verifier, new Uint8Array(), info, HKDF_BYTES))
  }

  /** A nonce for one attempt, so that a proof that was overheard is worth nothing. */
  newNonce(): Bytes {
    return randomBytes(NONCE_BYTES)
  }

  /**
   * Whether `admit` proves, for this attempt, the network key and the identity that `hello` named. Returns the proof of
   * this server, that it is of the same network; null when the peer is refused.
   */
  answer({ identity, hello, challenge }: Attempt, { proof, signature }: Admit): string | null {
    const transcript = admissionTranscript(this.#network, hello, challenge)
    // A stranger costs the server no more than this.
    if (!timingSafeEqual(this.#mac(transcript), Buffer.from(proof, 'base64url'))) return null
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: identity }, format: 'jwk' })
    if (!verify(null, transcript, key, Buffer.from(signature, 'base64url'))) return null
    return this.#mac(admittedTranscript(this.#network, hello, challenge)).toString('base64url')
  }

  #mac(message: Bytes): Buffer {
    return createHmac('sha256', this.#verifier).update(message).digest()
  }
}

export interface Network {
  readonly verifier: Bytes
  /** Known on the first start, and whenever the operator gives it. */
  readonly key: Bytes | null
  readonly isNew: boolean
}

/**
 * Which network a store is of. A new store takes `givenKey` or a new key, and is not written to yet: a first start
 * that fails for want of a port must not use up the one time the key is shown. Throws `key-mismatch`.
 */
export async function networkOf(store: Store, givenKey: Bytes | null): Promise<Network> {
  if (store.verifier === null) {
    const key = givenKey ?? randomBytes(NETWORK_KEY_BYTES)
    return { verifier: await admissionVerifier(key), key, isNew: true }
  }
  if (givenKey === null) return { verifier: store.verifier, key: null, isNew: false }
  if (toBase64Url(await admissionVerifier(givenKey)) !== toBase64Url(store.verifier)) {
    throw new NearportError('key-mismatch', 'the key given is not the one this data folder began with')
  }
  return { verifier: store.verifier, key: givenKey, isNew: false }
}
