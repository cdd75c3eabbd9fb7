/** The share side's tunnels, one or a few for each access process that has links here or may come back with one. */
import { NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { peerKey } from './peer-key.ts'
import { Regulars } from './regulars.ts'
import type { MuxStream } from './stream.ts'
import { Tunnel, type TunnelRequest } from './tunnel.ts'

/** As Acceptor, for streams of this identity. */
export type OwnedAcceptor = (name: string, owner: string) => ((stream: MuxStream) => void) | null

export class Tunnels {
  readonly #accept: OwnedAcceptor
  readonly #grace: number
  readonly #most: number
  readonly #regulars: Regulars
  /** By process (its peer id, and the identity that owns it), and slot. */
  readonly #tunnels = new Map<string, Known>()

  /** `grace`: see Tunnel. `most`: of tunnels that are open. */
  constructor(accept: OwnedAcceptor, grace: number, most: number = LIMITS.linksPerProcess, regulars = new Regulars()) {
    this.#accept = accept
    this.#grace = grace
    this.#most = most
    this.#regulars = regulars
  }

  /** Connections of a process. */
  streams(peer: string, owner: string): number {
    return this.#of(peer, owner).reduce((sum, { streams }) => sum + streams, 0)
  }

  /** The tunnel of this id. One that the process had before in its place ends: the process gave it up. */
  take(peer: string, owner: string, { id, slot }: Pick<TunnelRequest, 'id' | 'slot'>): Tunnel {
    const process = peerKey({ peer, identity: owner })
    const key = `${process} ${slot}`
    const known = this.#tunnels.get(key)?.tunnel
    if (known?.id === id && !known.isClosed) return known
    known?.close(new NearportError('peer-reset', 'the other side gave the connections up while there was no path'))
    this.#makeRoom()
    const tunnel = new Tunnel((name) => this.#accept(name, owner), this.#grace, id)
    this.#tunnels.set(key, { process, owner, tunnel })
    tunnel.closed.then(() => {
      if (this.#tunnels.get(key)?.tunnel === tunnel) this.#tunnels.delete(key)
    })
    return tunnel
  }

  /** Another process of the same environment says that this one was killed. If it answers all the same, it was not. */
  async end(peer: string, owner: string): Promise<void> {
    const tunnels = this.#of(peer, owner)
    const answers = await Promise.all(tunnels.map((tunnel) => tunnel.answers()))
    if (answers.includes(true)) return
    for (const tunnel of tunnels) tunnel.close(new NearportError('peer-gone', 'the process was killed'))
  }

  #of(peer: string, owner: string): Tunnel[] {
    const wanted = peerKey({ peer, identity: owner })
    return [...this.#tunnels.values()].filter(({ process }) => process === wanted).map(({ tunnel }) => tunnel)
  }

  withdraw(name: string, reason: NearportError): void {
    for (const { tunnel } of this.#tunnels.values()) tunnel.withdraw(name, reason)
  }

  close(reason: NearportError): void {
    for (const { tunnel } of this.#tunnels.values()) tunnel.close(reason)
  }

  /**
   * Whoever makes links and drops them again fills its own share of our memory, and pushes nobody else out: one goes
   * that carries nothing, else one of a stranger, else one of whom the most wait.
   */
  #makeRoom(): void {
    const open = [...this.#tunnels.values()].filter(({ tunnel }) => !tunnel.isClosed)
    if (open.length < this.#most) return
    const waiting = open.filter(({ tunnel }) => tunnel.isWaiting)
    const counts = new Map<string, number>()
    for (const { owner } of waiting) counts.set(owner, (counts.get(owner) ?? 0) + 1)
    const rank = ({ tunnel, owner }: Known) =>
      tunnel.streams === 0 ? 2 * open.length : (counts.get(owner) ?? 0) + (this.#regulars.has(owner) ? 0 : open.length)
    const most = Math.max(...waiting.map(rank))
    const reason = new NearportError('too-many-links', 'too many others wait for their path as well')
    waiting.find((known) => rank(known) === most)?.tunnel.close(reason)
  }
}

interface Known {
  readonly process: string
  readonly owner: string
  readonly tunnel: Tunnel
}
