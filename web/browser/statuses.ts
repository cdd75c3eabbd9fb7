/** What the share peers of a network say of themselves, each over a link that is kept up for it. */
import type { Access } from '../../shared/access.ts'
import type { Following } from '../../shared/following.ts'
import { type PeerRef, peerKey } from '../../shared/peer-key.ts'
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

  /** By peerKey; absent while nothing is known. */
  get known(): ReadonlyMap<string, PeerStatus> {
    return this.#known
  }

  /** Follows every peer that serves something now, and no other. */
  update({ shares }: Following): void {
    const serving = new Map<string, PeerRef>()
    for (const { peer, owner: identity } of shares.values()) {
      if (peer !== null) serving.set(peerKey({ peer, identity }), { peer, identity })
    }
    for (const [key, unfollow] of this.#unfollow) {
      if (serving.has(key)) continue
      this.#unfollow.delete(key)
      this.#known.delete(key)
      unfollow()
    }
    for (const [key, far] of serving) if (!this.#unfollow.has(key)) this.#follow(key, far)
  }

  #follow(key: string, { peer, identity }: PeerRef): void {
    this.#unfollow.set(key, () => undefined)
    const unfollow = this.#access.follow(peer, identity, (status) => {
      if (status === null) this.#known.delete(key)
      else this.#known.set(key, status)
      this.onchange()
    })
    this.#unfollow.set(key, unfollow)
  }
}
