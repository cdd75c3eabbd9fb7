/** Who is told of all names and all peers. What changes within a moment is told together. */
import { NearportError } from '../shared/errors.ts'
import type { Limits } from '../shared/limits.ts'
import type { PeerChange } from '../shared/messages.ts'
import { type PeerRef, peerKey } from '../shared/peer-key.ts'
import type { Member } from './member.ts'
import type { Names } from './names.ts'
import { parts } from './parts.ts'
import { Quota } from './quota.ts'
import type { Turns } from './turns.ts'

export class Followers {
  readonly #names: Names
  /** By peerKey. */
  readonly #peers: ReadonlyMap<string, Member>
  readonly #turns: Turns
  readonly #limits: Limits
  readonly #quota: Quota
  readonly #followers = new Set<Member>()
  /** What is to be told: names, and peers by their key. */
  readonly #changedNames = new Set<string>()
  readonly #changedPeers = new Map<string, PeerRef>()
  #timer: NodeJS.Timeout | undefined

  constructor(names: Names, peers: ReadonlyMap<string, Member>, turns: Turns, limits: Limits) {
    this.#names = names
    this.#peers = peers
    this.#turns = turns
    this.#limits = limits
    this.#quota = new Quota(limits.followers, limits.followersPerIdentity)
  }

  /**
   * Sends all there is, then each change; resolves after the former. A change meanwhile may be sent twice, and never
   * before what it changes. Throws `server-busy`.
   */
  async follow(member: Member): Promise<void> {
    if (this.#followers.has(member)) throw new NearportError('server-busy', 'this peer follows already')
    if (!this.#quota.hasRoomFor(member)) {
      throw new NearportError('server-busy', 'too many peers of this environment, address or server follow already')
    }
    this.#followers.add(member)
    this.#quota.take(member)
    // What is read is sent in the same turn, before what changes it.
    for (const shares of parts(this.#names.all())) {
      await member.deliver({ type: 'changes', shares, peers: [] })
      await this.#turns.next()
    }
    for (const peers of parts(this.#all())) {
      await member.deliver({ type: 'changes', shares: [], peers })
      await this.#turns.next()
    }
  }

  leave(member: Member): void {
    if (this.#followers.delete(member)) this.#quota.give(member)
  }

  nameChanged(name: string): void {
    if (this.#followers.size === 0) return
    this.#changedNames.add(name)
    this.#tellSoon()
  }

  peerChanged({ peer, identity }: PeerRef): void {
    if (this.#followers.size === 0) return
    this.#changedPeers.set(peerKey({ peer, identity }), { peer, identity })
    this.#tellSoon()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #tellSoon(): void {
    this.#timer ??= setTimeout(() => this.#tell(), this.#limits.followInterval).unref()
  }

  #tell(): void {
    this.#timer = undefined
    const names = [...this.#changedNames].map((name) => this.#names.share(name))
    const changed = [...this.#changedPeers].map(([key, peer]) => ({ ...peer, connected: this.#peers.has(key) }))
    this.#changedNames.clear()
    this.#changedPeers.clear()
    for (const shares of parts(names)) this.#send({ shares, peers: [] })
    for (const peers of parts(changed)) this.#send({ shares: [], peers })
  }

  #send(changes: { readonly shares: ReturnType<Names['share']>[]; readonly peers: PeerChange[] }): void {
    // A follower whose backlog is full is cut off by send, and leaves this very set.
    for (const follower of [...this.#followers]) follower.send({ type: 'changes', ...changes })
  }

  *#all(): Generator<PeerChange> {
    for (const { peer, identity } of this.#peers.values()) yield { peer, identity, connected: true }
  }
}
