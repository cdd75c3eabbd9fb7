/** Room that many share: so much for one environment, and for one address never more than is left for others. */

/** Who takes of it. */
export interface Holder {
  readonly identity: string
  readonly source: string
}

/**
 * An identity costs nothing to make, and an address little. So who holds from one address may hold no more than is still
 * free: whoever takes all he can leaves as much to the next, and nobody can take the last (dynamic thresholds: Choudhury
 * and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998).
 */
export class Quota {
  readonly #most: number
  readonly #mostEach: number
  readonly #byIdentity = new Map<string, number>()
  readonly #bySource = new Map<string, number>()
  #held = 0

  /** `most` for all together, `mostEach` for one identity. */
  constructor(most: number, mostEach: number) {
    this.#most = most
    this.#mostEach = mostEach
  }

  get held(): number {
    return this.#held
  }

  hasRoomFor({ identity, source }: Holder): boolean {
    const free = this.#most - this.#held
    return (this.#byIdentity.get(identity) ?? 0) < this.#mostEach && (this.#bySource.get(source) ?? 0) < free
  }

  take(holder: Holder): void {
    this.#count(holder, 1)
  }

  give(holder: Holder): void {
    this.#count(holder, -1)
  }

  #count({ identity, source }: Holder, change: 1 | -1): void {
    this.#held += change
    count(this.#byIdentity, identity, change)
    count(this.#bySource, source, change)
  }
}

function count(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const now = (counts.get(key) ?? 0) + change
  if (now === 0) counts.delete(key)
  else counts.set(key, now)
}
