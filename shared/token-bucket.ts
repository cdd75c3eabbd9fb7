/** Bounds a rate: `burst` at once, `perSecond` for long. */
export class TokenBucket {
  readonly #perSecond: number
  readonly #burst: number
  readonly #now: () => number
  #tokens: number
  #at: number

  /** `now` is a clock in ms that never goes back. */
  constructor(perSecond: number, burst: number, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#now = now
    this.#tokens = burst
    this.#at = now()
  }

  /** Takes `cost` tokens, into debt if need be; false, and takes nothing, when there is not one. */
  take(cost = 1): boolean {
    this.#refill()
    if (this.#tokens < 1) return false
    this.#tokens -= cost
    return true
  }

  /** Whether it is as if nothing had ever been taken. */
  get full(): boolean {
    this.#refill()
    return this.#tokens >= this.#burst
  }

  /** ms until {@link take} will succeed. */
  wait(): number {
    this.#refill()
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000)
  }

  #refill(): void {
    const now = this.#now()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#perSecond)
    this.#at = now
  }
}
