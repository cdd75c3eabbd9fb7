/** A token bucket for each of many keys; one that is full again is forgotten, so that strangers cannot pile them up. */
import { TokenBucket } from '../shared/token-bucket.ts'

/** ms */
const SWEEP = 1000

export class Buckets {
  readonly #perSecond: number
  readonly #burst: number
  readonly #buckets = new Map<string, TokenBucket>()
  readonly #sweeper: NodeJS.Timeout

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#sweeper = setInterval(() => this.forgetFull(), SWEEP).unref()
  }

  get size(): number {
    return this.#buckets.size
  }

  /** Takes `cost` tokens, into debt if need be; false, and takes nothing, when there is not one. */
  take(key: string, cost = 1): boolean {
    let bucket = this.#buckets.get(key)
    if (bucket === undefined) {
      bucket = new TokenBucket(this.#perSecond, this.#burst)
      this.#buckets.set(key, bucket)
    }
    return bucket.take(cost)
  }

  stop(): void {
    clearInterval(this.#sweeper)
  }

  /** Done once a second. */
  forgetFull(): void {
    for (const [key, bucket] of this.#buckets) if (bucket.full) this.#buckets.delete(key)
  }
}
