/** All shares and all connected peers of a network, as the signaling server tells them. */
import { NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import type { Changes, PeerChange, ShareChange } from './messages.ts'
import { peerKey } from './peer-key.ts'

export type FollowedShare = ShareChange & { readonly owner: string }

export class Following {
  /** Called when one of the two is another. */
  onchange: () => void = () => undefined
  /** The server does not tell. */
  onrefused: (reason: NearportError) => void = () => undefined
  #shares: ReadonlyMap<string, FollowedShare> = new Map()
  #peers: ReadonlyMap<string, PeerChange> = new Map()
  readonly #mostEntries: number
  /** What the server has told on this connection, until it is all. */
  #telling: { readonly shares: Map<string, FollowedShare>; readonly peers: Map<string, PeerChange> } | null = null

  constructor(mostEntries: number = LIMITS.listedEntries) {
    this.#mostEntries = mostEntries
  }

  /** By name; what was last known while the server is away. */
  get shares(): ReadonlyMap<string, FollowedShare> {
    return this.#shares
  }

  /** By peerKey; likewise. */
  get peers(): ReadonlyMap<string, PeerChange> {
    return this.#peers
  }

  /** The server begins to tell, from nothing. */
  begin(): void {
    this.#telling = { shares: new Map(), peers: new Map() }
  }

  /** Throws `message-malformed` when the server tells of more than one has. */
  receive({ shares, peers }: Changes): void {
    const now = this.#telling ?? { shares: new Map(this.#shares), peers: new Map(this.#peers) }
    for (const { owner, ...share } of shares) {
      if (owner === null) now.shares.delete(share.name)
      else now.shares.set(share.name, { ...share, owner })
    }
    for (const peer of peers) {
      if (peer.connected) now.peers.set(peerKey(peer), peer)
      else now.peers.delete(peerKey(peer))
    }
    if (now.shares.size + now.peers.size > this.#mostEntries) {
      throw new NearportError('message-malformed', `the server told of more than ${this.#mostEntries} shares and peers`)
    }
    if (this.#telling === null) this.#set(now)
  }

  /** The server has told all there was. */
  complete(): void {
    if (this.#telling === null) return
    const { shares, peers } = this.#telling
    this.#telling = null
    this.#set({ shares, peers })
  }

  #set(now: { shares: ReadonlyMap<string, FollowedShare>; peers: ReadonlyMap<string, PeerChange> }): void {
    this.#shares = now.shares
    this.#peers = now.peers
    this.onchange()
  }
}
