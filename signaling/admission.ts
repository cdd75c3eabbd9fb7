/** Who may come in: a peer that holds the network key and the private key of the identity it names. */
import { fromBase64Url, toBase64Url } from '../shared/bytes.ts'
import {
  admissionTranscript,
  admissionVerifier,
  type Bytes,
  MacKey,
  NETWORK_KEY_BYTES,
  NONCE_BYTES,
  randomBytes,
  verifySignature,
} from '../shared/crypto.ts'
import { NearportError } from '../shared/errors.ts'
import type { ClientMessage } from '../shared/messages.ts'
import type { Store } from './store.ts'

export type Hello = Extract<ClientMessage, { type: 'hello' }>
export type Admit = Extract<ClientMessage, { type: 'admit' }>

export class Admission {
  readonly #verifier: MacKey

  private constructor(verifier: MacKey) {
    this.#verifier = verifier
  }

  static async with(verifier: Bytes): Promise<Admission> {
    return new Admission(await MacKey.import(verifier))
  }

  /** A nonce for one attempt, so that a proof that was overheard is worth nothing. */
  newNonce(): Bytes {
    return randomBytes(NONCE_BYTES)
  }

  /** Whether `admit` proves, for this nonce, the network key and the identity that `hello` named. */
  async accepts(nonce: Bytes, hello: Hello, admit: Admit): Promise<boolean> {
    const transcript = admissionTranscript(nonce, hello.peer, hello.identity)
    return (
      (await this.#verifier.verify(decode(admit.proof), transcript)) &&
      (await verifySignature(decode(hello.identity), decode(admit.signature), transcript))
    )
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

function decode(text: string): Bytes {
  const bytes = fromBase64Url(text)
  if (bytes === null) throw new NearportError('message-malformed', 'a field is not base64url')
  return bytes
}
