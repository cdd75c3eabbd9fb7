/** The share side's tunnels, one or a few for each access process that has links here or may come back with one. */
import { NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { peerKey } from './peer-key.ts'
import { type Acceptor, Tunnel, type TunnelRequest } from './tunnel.ts'

export class Tunnels {
  readonly #accept: Acceptor
  readonly #grace: number
  /** By process (its peer id, and the identity that owns it), and slot. */
  readonly #tunnels = new Map<string, { readonly process: string; readonly owner: string; readonly tunnel: Tunnel }>()

  /** `grace`: see Tunnel. */
  constructor(accept: Acceptor, grace: number) {
    this.#accept = accept
    this.#grace = grace
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
    const tunnel = new Tunnel(this.#accept, this.#grace, id)
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

  /** Whoever makes links and drops them again fills its own share of our memory, and pushes nobody else out. */
  #makeRoom(): void {
    const open = [...this.#tunnels.values()].filter(({ tunnel }) => !tunnel.isClosed)
    if (open.length < LIMITS.linksPerProcess) return
    const waiting = open.filter(({ tunnel }) => tunnel.isWaiting)
    const ofOwner = (owner: string) => waiting.filter((other) => other.owner === owner).length
    const most = Math.max(...waiting.map(({ owner }) => ofOwner(owner)))
    const idle = waiting.find(({ tunnel }) => tunnel.streams === 0)
    const { tunnel } = idle ?? waiting.find(({ owner }) => ofOwner(owner) === most) ?? {}
    tunnel?.close(new NearportError('too-many-links', 'too many others wait for their path as well'))
  }
}
