/** Answers of many messages take turns, a few in each round of the event loop, so that nobody waits for all of them. */

/** Messages of 50 entries in a round: some milliseconds. */
const EACH_ROUND = 16

export class Turns {
  readonly #waiting: (() => void)[] = []

  /** Resolves when the turn of the caller has come. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#waiting.push(resolve) === 1) setImmediate(() => this.#round())
    })
  }

  #round(): void {
    for (const resolve of this.#waiting.splice(0, EACH_ROUND)) resolve()
    if (this.#waiting.length > 0) setImmediate(() => this.#round())
  }
}
