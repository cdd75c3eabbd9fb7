/** Hands the signaling server the sealed health of the names that are served here. */
import { asNearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import type { PeerNode } from './node.ts'
import { sealHealth } from './sealed-health.ts'
import type { Health } from './status.ts'

export class HealthReports {
  readonly #node: Pick<PeerNode, 'peer' | 'identity' | 'networkKey' | 'signaling' | 'log'>
  /** Of all names that are served. */
  readonly #current: () => ReadonlyMap<string, Health>
  readonly #due = new Set<string>()
  #refresh: ReturnType<typeof setInterval> | undefined
  /** Until it is over, what changes waits. */
  #pace: ReturnType<typeof setTimeout> | undefined

  constructor(
    node: Pick<PeerNode, 'peer' | 'identity' | 'networkKey' | 'signaling' | 'log'>,
    current: () => ReadonlyMap<string, Health>,
  ) {
    this.#node = node
    this.#current = current
    // The server has forgotten them with the connection. The names are claimed again before anything is sealed.
    node.signaling.onreconnect.add(() => this.#reportAll())
  }

  /** The health of a name is new: it is told now, or soon when something was told just now. */
  report(name: string): void {
    this.#due.add(name)
    this.#refresh ??= setInterval(() => this.#reportAll(), LIMITS.healthRefresh)
    if (this.#pace === undefined) this.#flush()
  }

  stop(): void {
    clearInterval(this.#refresh)
    clearTimeout(this.#pace)
    this.#due.clear()
  }

  /** So that its age tells how long the server has not had it from us. */
  #reportAll(): void {
    for (const name of this.#current().keys()) this.report(name)
  }

  #flush(): void {
    this.#pace = undefined
    if (this.#due.size === 0) return
    const names = [...this.#due]
    this.#due.clear()
    this.#pace = setTimeout(() => this.#flush(), LIMITS.statusInterval)
    this.#tell(names).catch((error: unknown) => {
      this.#node.log.error({ reason: asNearportError(error).message }, 'health not told')
    })
  }

  async #tell(names: readonly string[]): Promise<void> {
    const { peer, identity, networkKey, signaling } = this.#node
    const self = { peer, identity: identity.publicKey }
    const current = this.#current()
    for (const name of names) {
      const health = current.get(name)
      if (health !== undefined) signaling.health(name, await sealHealth(networkKey, name, self, health))
    }
  }
}
