/** For what somebody else can make happen as often as he likes: the first time is logged, then a number each minute. */
import { LIMITS } from './limits.ts'
import type { Log } from './log.ts'

export interface Tallied {
  /** What is counted together. */
  readonly code: string
  readonly [field: string]: unknown
}

export class Tally {
  readonly #log: Log
  readonly #message: string
  /** By code, since the last line: how many, and what the last of them was. */
  readonly #counts = new Map<string, { count: number; last: Tallied }>()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(log: Log, message: string) {
    this.#log = log
    this.#message = message
  }

  add(what: Tallied): void {
    const known = this.#counts.get(what.code)
    if (known === undefined) {
      this.#log.warn(what, this.#message)
      this.#counts.set(what.code, { count: 0, last: what })
    } else {
      known.count++
      known.last = what
    }
    this.#timer ??= setTimeout(() => this.#tell(), LIMITS.tallyInterval)
  }

  /** What was counted and not told is told. */
  stop(): void {
    this.#tell()
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#counts.clear()
  }

  #tell(): void {
    this.#timer = undefined
    for (const [code, counted] of this.#counts) {
      if (counted.count === 0) {
        this.#counts.delete(code)
        continue
      }
      const seconds = LIMITS.tallyInterval / 1000
      this.#log.warn({ ...counted.last, count: counted.count }, `${this.#message}, in the last ${seconds} s`)
      counted.count = 0
    }
    if (this.#counts.size > 0) this.#timer = setTimeout(() => this.#tell(), LIMITS.tallyInterval)
  }
}
