/** How the two sides of a link come to trust it: a hello from each, then a proof from each over both. */
import { toBase64Url } from './bytes.ts'
import { type ControlMessage, encodeControl } from './control.ts'
import { type Bytes, type Identity, NONCE_BYTES, randomBytes, shortIdentity } from './crypto.ts'
import { NearportError } from './errors.ts'
import type { PeerRef } from './peer-key.ts'
import { type Party, type Proof, prove, type Role, transcript, verify } from './proof.ts'
import type { TunnelRequest } from './tunnel.ts'
import { agree, SPOKEN } from './versions.ts'

export interface HandshakeOptions {
  readonly role: Role
  readonly session: string
  readonly self: { readonly peer: string; readonly identity: Identity }
  readonly remote: PeerRef
  readonly networkKey: Bytes
  /** Access side: the tunnel the link is for; null on the share side. */
  readonly asks: TunnelRequest | null
  /** The engine of this side exports keying material. */
  readonly exportsKeys: boolean
}

/** What this very connection has and no other. */
export interface Binding {
  /** Of the two DTLS certificates: "sha-256 AA:BB:…" */
  readonly near: string
  readonly far: string
  /** See {@link LinkFacts}; null where the engine of this side cannot export it. */
  readonly keyingMaterial: Uint8Array | null
}

/** In a hello: the proofs of this side can cover keying material of the connection. */
const KEYING_MATERIAL = 'keying-material'

type Hello = Extract<ControlMessage, { type: 'hello' }>

export class Handshake {
  /** What this side says first. */
  readonly hello: Bytes
  readonly #options: HandshakeOptions
  readonly #spoken: typeof SPOKEN
  #transcript: Bytes | null = null
  #request: TunnelRequest | null

  constructor(options: HandshakeOptions) {
    const { self, asks, exportsKeys } = options
    this.#options = options
    this.#spoken = { ...SPOKEN, capabilities: [...SPOKEN.capabilities, ...(exportsKeys ? [KEYING_MATERIAL] : [])] }
    this.#request = asks
    this.hello = encodeControl({
      type: 'hello',
      ...this.#spoken,
      nonce: toBase64Url(randomBytes(NONCE_BYTES)),
      identity: self.identity.publicKey,
      tunnel: asks && { id: asks.id, slot: asks.slot, ended: [...asks.ended] },
    })
  }

  /**
   * `bytes`: the message as it came. Returns the proof of this side. Throws `version-mismatch`, `proof-refused`,
   * `message-malformed`.
   */
  async receiveHello(hello: Hello, bytes: Uint8Array, binding: Binding): Promise<Proof> {
    const { role, session, self, remote, networkKey } = this.#options
    const { capabilities } = agree(this.#spoken, hello, { own: 'this side', other: 'the other side' })
    if (hello.identity !== remote.identity) {
      const [found, expected] = [hello.identity, remote.identity].map(shortIdentity)
      throw new NearportError('proof-refused', `identity ${found} answered where ${expected} was expected`)
    }
    if ((hello.tunnel === null) !== (role === 'access')) {
      throw new NearportError('message-malformed', 'the other side named a tunnel that is not due, or none')
    }
    this.#request ??= hello.tunnel
    const isKeyed = capabilities.has(KEYING_MATERIAL)
    if (isKeyed && binding.keyingMaterial === null) {
      throw new NearportError('proof-refused', 'the connection has no keying material to prove')
    }
    const identity = self.identity.publicKey
    const near: Party = { peer: self.peer, identity, fingerprint: binding.near, hello: this.hello }
    const far: Party = { ...remote, fingerprint: binding.far, hello: bytes }
    const [access, share] = role === 'access' ? [near, far] : [far, near]
    this.#transcript = await transcript({
      session,
      access,
      share,
      keyingMaterial: isKeyed ? binding.keyingMaterial : null,
    })
    return prove(networkKey, self.identity, role, this.#transcript)
  }

  /** Returns the tunnel that the link is for. Throws `proof-refused`. */
  async receiveProof(proof: Proof): Promise<TunnelRequest> {
    const { role, remote, networkKey } = this.#options
    if (this.#transcript === null || this.#request === null) {
      throw new NearportError('internal', 'a proof before the transcript')
    }
    await verify(networkKey, remote.identity, role === 'access' ? 'share' : 'access', this.#transcript, proof)
    return this.#request
  }
}
