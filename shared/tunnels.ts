/** The share side's tunnels, one for each access process that has a link here or may come back with one. */
import { NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { type Acceptor, Tunnel } from './tunnel.ts'

export class Tunnels {
  readonly #accept: Acceptor
  readonly #grace: number
  /** By process, the oldest first. */
  readonly #tunnels = new Map<string, Tunnel>()

  /** `grace`: see Tunnel. */
  constructor(accept: Acceptor, grace: number) {
    this.#accept = accept
    this.#grace = grace
  }

  /** Connections of a process. */
  streams(process: string): number {
    return this.#tunnels.get(process)?.streams ?? 0
  }

  /** The tunnel of this id. One that the process had before ends: the process gave it up. */
  take(process: string, id: string): Tunnel {
    const known = this.#tunnels.get(process)
    if (known?.id === id) return known
    known?.close(new NearportError('peer-reset', 'the other side gave the connections up while there was no path'))
    this.#makeRoom()
    const tunnel = new Tunnel(this.#accept, this.#grace, id)
    this.#tunnels.set(process, tunnel)
    tunnel.closed.then(() => {
      if (this.#tunnels.get(process) === tunnel) this.#tunnels.delete(process)
    })
    return tunnel
  }

  /** Another process of the same environment says that this one was killed. If it answers all the same, it was not. */
  async end(process: string): Promise<void> {
    const tunnel = this.#tunnels.get(process)
    if (tunnel === undefined || (await tunnel.answers())) return
    tunnel.close(new NearportError('peer-gone', 'the process was killed'))
  }

  withdraw(name: string, reason: NearportError): void {
    for (const tunnel of this.#tunnels.values()) tunnel.withdraw(name, reason)
  }

  close(reason: NearportError): void {
    for (const tunnel of this.#tunnels.values()) tunnel.close(reason)
  }

  /** Whoever makes links and drops them again must not fill our memory with what waits. */
  #makeRoom(): void {
    const open = [...this.#tunnels.values()].filter(({ isClosed }) => !isClosed)
    if (open.length < LIMITS.linksPerProcess) return
    const oldest = open.find(({ isWaiting }) => isWaiting)
    oldest?.close(new NearportError('too-many-links', 'too many others wait for their path as well'))
  }
}
