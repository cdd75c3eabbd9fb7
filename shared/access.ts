/** The access side: it follows where each name is served, and opens streams to it. */
import { deferred } from './deferred.ts'
import { asNearportError, explained, NearportError } from './errors.ts'
import { FarPeer } from './far-peer.ts'
import { LIMITS } from './limits.ts'
import type { Link } from './link.ts'
import type { Presence } from './messages.ts'
import type { Mux } from './mux.ts'
import type { PeerNode } from './node.ts'
import { peerKey } from './peer-key.ts'
import type { PeerStatus } from './status.ts'
import type { MuxStream } from './stream.ts'

interface AccessedName {
  /** See TunnelRequest. */
  readonly slot: number
  /** The server's last word, which counts once the owner has been checked. */
  told: Presence | null
  presence: Presence | null
  /** Why who is said to serve it is not asked; null if it is. */
  refused: NearportError | null
  /** The peer that serves it, or the last one that did. */
  far: FarPeer | null
}

export class Access {
  readonly #node: PeerNode
  readonly #names = new Map<string, AccessedName>()
  /** By peerKey and slot. */
  readonly #peers = new Map<string, FarPeer>()
  readonly #connections: number
  readonly #sessions = new Map<string, Link>()
  #waiting = deferred<void>()
  readonly #look: ReturnType<typeof setInterval>

  /**
   * `connections` to each share process, among which the names are spread in their order: under loss each connection is
   * slowed down by itself (RFC 9260 section 7.2), and with it only its names. At most LIMITS.connectionsMost.
   */
  constructor(node: PeerNode, connections = 1) {
    this.#node = node
    this.#connections = connections
    node.signaling.onsignal = ({ session, box }) => this.#sessions.get(session)?.receiveSignal(box)
    node.signaling.onended = ({ session, code }) => {
      this.#sessions.get(session)?.abandon(new NearportError(code, 'the signaling server ended the negotiation'))
    }
    node.signaling.onreconnect.add(() => {
      for (const far of this.#peers.values()) far.renegotiate()
    })
    this.#look = setInterval(() => this.#lookAgain(), LIMITS.ownerCheck)
  }

  /** Follows a name from now on; returns its presence. Rejects when the server cannot be asked. */
  async add(name: string): Promise<Presence['state']> {
    const slot = this.#names.size % this.#connections
    this.#names.set(name, { slot, told: null, presence: null, refused: null, far: null })
    try {
      await this.#node.signaling.watch(name, (presence) => this.#update(presence))
    } catch (error) {
      this.#names.delete(name)
      throw error
    }
    while (this.#names.get(name)?.presence == null) await this.#waiting.promise
    return this.#names.get(name)?.presence?.state ?? 'unknown'
  }

  /** A stream to the target behind a name. Rejects with the reason when there is none to be had now. */
  async open(name: string): Promise<MuxStream> {
    const accessed = this.#names.get(name)
    if (accessed === undefined) throw new NearportError('internal', `"${name}" is not accessed here`)
    // A job may come before the server has answered.
    while (accessed.presence === null) await this.#waiting.promise
    // The user may have accepted the owner since.
    if (accessed.refused !== null) await this.recheck(name)
    const { presence, refused, far } = accessed
    const isThere = presence.state === 'online' && refused === null
    // A channel that is up is better proof than what the server last said: it may be down itself.
    if (far !== null && (isThere || far.carries(name))) return (await this.#mux(far, name)).open()
    if (refused !== null) throw refused
    if (presence.state === 'offline')
      throw new NearportError('name-offline', `"${name}" is offline: nobody serves it now`)
    throw new NearportError('name-unknown', `"${name}" is not known to the server`)
  }

  /** Whether {@link add} was asked for it. */
  has(name: string): boolean {
    return this.#names.has(name)
  }

  /** Looks again whether who serves a name is its owner: what is known of it may be another. */
  async recheck(name: string): Promise<void> {
    const accessed = this.#names.get(name)
    if (accessed !== undefined && accessed.told !== null) await this.#settle(accessed, accessed.told)
  }

  /** The connection under the link to who serves a name, for its statistics; null while there is none. */
  connection(name: string): RTCPeerConnection | null {
    return this.#names.get(name)?.far?.connection ?? null
  }

  /**
   * Keeps a link up to the process `peer` of `owner` (as signaling names them), and tells what it says of itself: null
   * now and whenever there is no link, then the same object again each time it has changed. One follower for each
   * peer: a second replaces the first. Returns what ends it; the link goes on, but is not made again for this.
   */
  follow(peer: string, owner: string, onstatus: (status: PeerStatus | null) => void): () => void {
    const unfollow = this.#peer(peer, owner, 0).follow(onstatus)
    return () => {
      unfollow()
      this.#forgetUnused()
    }
  }

  /** Connections that are open, to all names. */
  get streams(): number {
    return [...this.#peers.values()].reduce((sum, { streams }) => sum + streams, 0)
  }

  /** Ends every link. */
  async close(reason: NearportError): Promise<void> {
    clearInterval(this.#look)
    await Promise.all([...this.#peers.values()].map((far) => far.close(reason)))
  }

  /** A link that breaks while it is made is made once more: the job that waits for it should not pay for that. */
  async #mux(far: FarPeer, name: string): Promise<Mux> {
    try {
      return await far.mux(name)
    } catch (error) {
      if (!(error instanceof NearportError && error.code === 'link-lost')) throw error
      return far.mux(name)
    }
  }

  #update(presence: Presence): void {
    const accessed = this.#names.get(presence.name)
    if (accessed === undefined) return
    accessed.told = presence
    this.#settle(accessed, presence).catch((error) => this.#failed(presence.name, error))
  }

  async #settle(accessed: AccessedName, presence: Presence): Promise<void> {
    const { name, state, owner } = presence
    const refused = state === 'online' && owner !== null ? await this.#refusal(name, owner) : null
    // Another word may have come meanwhile, which is checked by itself.
    if (accessed.told === presence && this.#names.get(name) === accessed) this.#apply(accessed, presence, refused)
  }

  async #refusal(name: string, owner: string): Promise<NearportError | null> {
    try {
      await this.#node.owners.check(name, owner)
      return null
    } catch (error) {
      return asNearportError(error)
    }
  }

  #apply(accessed: AccessedName, presence: Presence, refused: NearportError | null): void {
    const { log } = this.#node
    const { presence: before, refused: refusedBefore } = accessed
    const { name, state, peer, owner } = presence
    accessed.presence = presence
    accessed.refused = refused
    if (before?.state !== state || before.peer !== peer || before.owner !== owner) {
      log.info({ name, state, peer }, 'share presence')
    }
    if (refused !== null && refused.message !== refusedBefore?.message) {
      log.error({ name, ...explained(refused) }, 'share refused')
    }
    if (state === 'online' && peer !== null && owner !== null && refused === null) {
      const far = this.#peer(peer, owner, accessed.slot)
      if (accessed.far !== far) this.#move(name, accessed.far)
      accessed.far = far
      far.keep(name)
    } else {
      accessed.far?.lose(name)
    }
    this.#forgetUnused()
    this.#waiting.resolve()
    this.#waiting = deferred<void>()
  }

  /** What is refused may have been accepted, and a disk may have room again. */
  #lookAgain(): void {
    const { owners } = this.#node
    for (const [name, { refused }] of this.#names) {
      const looking = owners.keepAgain(name).then(() => (refused === null ? undefined : this.recheck(name)))
      // Why it was not kept, such as another owner that another process met, is found anew.
      looking.catch(() => this.recheck(name)).catch((error) => this.#failed(name, error))
    }
  }

  #failed(name: string, error: unknown): void {
    this.#node.log.error({ name, ...explained(asNearportError(error)) }, 'the owner of a share was not checked')
  }

  #move(name: string, before: FarPeer | null): void {
    before?.moved(name).catch((error: unknown) => {
      this.#node.log.error({ name, reason: asNearportError(error).message }, 'the process before was not asked')
    })
  }

  #peer(peer: string, owner: string, slot: number): FarPeer {
    const key = `${peerKey({ peer, identity: owner })} ${slot}`
    let far = this.#peers.get(key)
    if (far === undefined) {
      far = new FarPeer(this.#node, peer, owner, slot, this.#sessions)
      far.onrefused = (name) => this.recheck(name).catch((error) => this.#failed(name, error))
      this.#peers.set(key, far)
    }
    return far
  }

  #forgetUnused(): void {
    const used = new Set([...this.#names.values()].map(({ far }) => far))
    for (const [key, far] of this.#peers) if (!used.has(far) && far.idle) this.#peers.delete(key)
  }
}

/** Names one process may access: what a link and a connection to the server can carry. */
export const ACCESS_NAMES = Math.min(LIMITS.sharesPerTunnel, LIMITS.namesPerConnection)
