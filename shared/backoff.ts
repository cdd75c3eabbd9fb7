import { LIMITS } from './limits.ts'

/** Waiting times between attempts: half to all of min(reconnectFirst × 2^n, reconnectMost), so that peers spread out. */
export class Backoff {
  #attempt = 0
  readonly #random: () => number

  constructor(random: () => number = Math.random) {
    this.#random = random
  }

  /** ms until the next attempt */
  next(): number {
    const most = Math.min(LIMITS.reconnectFirst * 2 ** this.#attempt++, LIMITS.reconnectMost)
    return most * (0.5 + this.#random() / 2)
  }

  reset(): void {
    this.#attempt = 0
  }
}

/** Resolves after `ms`, or when `signal` aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
