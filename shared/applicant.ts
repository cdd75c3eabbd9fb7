/** The peer's side of admission: it shows the server what it holds, and the server shows it the same. */
import { toBase64Url } from './bytes.ts'
import {
  admissionTranscript,
  admissionVerifier,
  admittedTranscript,
  type Bytes,
  type Identity,
  MacKey,
  NONCE_BYTES,
  networkId,
  randomBytes,
} from './crypto.ts'
import type { ClientMessage } from './messages.ts'
import { SPOKEN } from './versions.ts'

export interface Application {
  readonly admit: ClientMessage
  /** The `proof` in `admitted` of a server of this network. */
  readonly proofOfServer: string
}

export class Applicant {
  readonly #identity: Identity
  readonly #verifier: MacKey
  readonly #network: Bytes

  private constructor(identity: Identity, verifier: MacKey, network: Bytes) {
    this.#identity = identity
    this.#verifier = verifier
    this.#network = network
  }

  static async of(networkKey: Bytes, identity: Identity): Promise<Applicant> {
    const verifier = await admissionVerifier(networkKey)
    return new Applicant(identity, await MacKey.import(verifier), await networkId(verifier))
  }

  /** For one connection. */
  hello(peer: string): string {
    const nonce = toBase64Url(randomBytes(NONCE_BYTES))
    const identity = this.#identity.publicKey
    return JSON.stringify({ type: 'hello', ...SPOKEN, peer, identity, nonce } satisfies ClientMessage)
  }

  /** What answers a challenge; both texts as they were sent. */
  async apply(hello: string, challenge: string): Promise<Application> {
    const transcript = admissionTranscript(this.#network, hello, challenge)
    const [proof, signature, proofOfServer] = await Promise.all([
      this.#verifier.sign(transcript),
      this.#identity.sign(transcript),
      this.#verifier.sign(admittedTranscript(this.#network, hello, challenge)),
    ])
    const admit = { type: 'admit', proof: toBase64Url(proof), signature: toBase64Url(signature) } as const
    return { admit, proofOfServer: toBase64Url(proofOfServer) }
  }
}
