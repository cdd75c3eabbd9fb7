/** What the share peers of a network say of themselves, each over a link that is kept up for it. */
import type { Access } from '../../shared/access.ts'
import type { Following } from '../../shared/following.ts'
import type { PeerStatus } from '../../shared/status.ts'

export class Statuses {
  /** Called when one of them is another. */
  onchange: () => void = () => undefined
  readonly #access: Access
  readonly #unfollow = new Map<string, () => void>()
  readonly #known = new Map<string, PeerStatus>()

  constructor(access: Access) {
    this.#access = access
  }

  /** By peer id; absent while nothing is known. */
  get known(): ReadonlyMap<string, PeerStatus> {
    return this.#known
  }

  /** Follows every peer that serves something now, and no other. */
  update({ shares }: Following): void {
    const serving = new Map<string, string>()
    for (const { peer, owner } of shares.values()) if (peer !== null) serving.set(peer, owner)
    for (const [peer, unfollow] of this.#unfollow) {
      if (serving.has(peer)) continue
      this.#unfollow.delete(peer)
      this.#known.delete(peer)
      unfollow()
    }
    for (const [peer, owner] of serving) if (!this.#unfollow.has(peer)) this.#follow(peer, owner)
  }

  #follow(peer: string, owner: string): void {
    this.#unfollow.set(peer, () => undefined)
    const unfollow = this.#access.follow(peer, owner, (status) => {
      if (status === null) this.#known.delete(peer)
      else this.#known.set(peer, status)
      this.onchange()
    })
    this.#unfollow.set(peer, unfollow)
  }
}
