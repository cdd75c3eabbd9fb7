/**
 * Identities that have had a link to this share side before. An identity costs nothing to make, so that bounds for each
 * of them hold nobody back who makes a thousand: a part of all places is kept for those who came before.
 */
import { LIMITS } from './limits.ts'

export class Regulars {
  /** The list has changed, and may be stored. */
  onchange: () => void = () => undefined
  /** By identity: when its last link became ready, in ms since 1970. */
  readonly #seen: Map<string, number>
  readonly #now: () => number

  /** `seen`: what {@link entries} gave before. `now`: ms since 1970. */
  constructor(seen: Iterable<readonly [string, number]> = [], now: () => number = Date.now) {
    this.#seen = new Map([...seen].slice(0, LIMITS.regulars))
    this.#now = now
  }

  has(identity: string): boolean {
    return this.#seen.has(identity)
  }

  /** A link of this identity is proven. It is remembered if there is room, or someone has not come for long. */
  add(identity: string): void {
    const now = this.#now()
    const last = this.#seen.get(identity)
    // Often enough to be told from those who stay away, and seldom enough to be stored.
    if (last !== undefined && Math.abs(now - last) < LIMITS.regularAway / 30) return
    if (last === undefined && this.#seen.size >= LIMITS.regulars && !this.#forgetOne(now)) return
    this.#seen.set(identity, now)
    this.onchange()
  }

  entries(): [string, number][] {
    return [...this.#seen]
  }

  /** False if all have been here lately. */
  #forgetOne(now: number): boolean {
    const [identity, last] = [...this.#seen].reduce((oldest, entry) => (entry[1] < oldest[1] ? entry : oldest))
    return now - last > LIMITS.regularAway && this.#seen.delete(identity)
  }
}
