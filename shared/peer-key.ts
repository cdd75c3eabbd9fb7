/**
 * Peers are told apart by peer id and identity together. A peer id is a random number that every member sees: the same
 * one under another identity is another peer.
 */
export interface PeerRef {
  /** of the process */
  readonly peer: string
  /** Ed25519 public key, base64url */
  readonly identity: string
}

/** For maps: neither part has a space. */
export const peerKey = ({ peer, identity }: PeerRef): string => `${peer} ${identity}`
