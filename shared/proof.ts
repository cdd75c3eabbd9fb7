/**
 * The mutual proof on a new link, before anything else: each side shows that it holds the network key and its
 * identity, over one transcript that names both sides, both hellos and both DTLS certificates of this very
 * connection. A signaling server that swapped a fingerprint, replayed or reflected a message, or delivered it to
 * another peer makes the two transcripts differ. (The construction of RFC 8844 section 4 and of SIGMA, Krawczyk 2003.)
 */
import { fromBase64Url, lengthPrefixed, toBase64Url } from './bytes.ts'
import { type Bytes, derive, type Identity, MacKey, sha256, verifySignature } from './crypto.ts'
import { NearportError } from './errors.ts'
import type { PeerRef } from './peer-key.ts'

export type Role = 'access' | 'share'

/** One side of a link, as signaling names it and as the transcript has it. */
export interface Party extends PeerRef {
  /** of the DTLS certificate: "sha-256 AA:BB:…" */
  readonly fingerprint: string
  /** The whole message as it was sent: with its nonce, its versions and its capabilities. */
  readonly hello: Uint8Array
}

/** What both sides must agree on. */
export interface LinkFacts {
  /** id of the negotiation */
  readonly session: string
  readonly access: Party
  readonly share: Party
  /** Exported from DTLS (RFC 5705), where the engines of both sides can do that; else null. */
  readonly keyingMaterial: Uint8Array | null
}

export interface Proof {
  readonly mac: string
  readonly signature: string
}

export async function transcript({ session, access, share, keyingMaterial }: LinkFacts): Promise<Bytes> {
  const fields = [access, share].flatMap(({ peer, identity, fingerprint, hello }) => [
    peer,
    identity,
    fingerprint,
    hello,
  ])
  return sha256(lengthPrefixed('nearport/3 link', session, ...fields, keyingMaterial ?? new Uint8Array()))
}

/** Keys and signed bytes differ by role, so that a proof cannot be given back to the side it came from. */
const macKey = async (networkKey: Bytes, role: Role): Promise<MacKey> =>
  MacKey.import(await derive(networkKey, `link ${role}`))
const signed = (role: Role, hash: Bytes): Bytes => lengthPrefixed('nearport/3 link proof', role, hash)

export async function prove(networkKey: Bytes, identity: Identity, role: Role, hash: Bytes): Promise<Proof> {
  const key = await macKey(networkKey, role)
  const [mac, signature] = await Promise.all([key.sign(hash), identity.sign(signed(role, hash))])
  return { mac: toBase64Url(mac), signature: toBase64Url(signature) }
}

/** Throws `proof-refused` unless the side in `role` made this proof over the same transcript. */
export async function verify(
  networkKey: Bytes,
  identity: string,
  role: Role,
  hash: Bytes,
  proof: Proof,
): Promise<void> {
  const [mac, signature, key] = [proof.mac, proof.signature, identity].map(fromBase64Url)
  const isMac = mac && (await (await macKey(networkKey, role)).verify(mac, hash))
  if (!isMac) throw new NearportError('proof-refused', `the ${role} side did not prove the network key for this link`)
  const isSigned = key && signature && (await verifySignature(key, signature, signed(role, hash)))
  if (!isSigned) throw new NearportError('proof-refused', `the ${role} side did not prove its identity`)
}
