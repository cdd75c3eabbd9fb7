/**
 * Places that identities share: links, streams, or those in a queue. Half of them are open to everybody, of which one
 * identity may have half; the other half is kept for {@link Regulars}, the same number for each, so that whoever fills
 * the open half takes nothing from those who were here before.
 */
import { LIMITS } from './limits.ts'
import type { Regulars } from './regulars.ts'

export class Places {
  readonly #regulars: Regulars
  readonly #open: number
  /** for each regular */
  readonly #kept: number
  readonly #taken = new Map<string, number>()
  #total = 0

  /** `all`: of them, at least 1. */
  constructor(all: number, regulars: Regulars) {
    this.#regulars = regulars
    this.#kept = Math.floor(all / 2 / LIMITS.regulars)
    this.#open = all - this.#kept * LIMITS.regulars
  }

  /** Takes a place for this identity; false if there is none that it may have. */
  take(identity: string): boolean {
    if (!this.#isFree(identity)) return false
    this.#taken.set(identity, this.#of(identity) + 1)
    this.#total++
    return true
  }

  /** Gives a place back that {@link take} gave. */
  give(identity: string): void {
    const left = this.#of(identity) - 1
    if (left > 0) this.#taken.set(identity, left)
    else this.#taken.delete(identity)
    this.#total--
  }

  get taken(): number {
    return this.#total
  }

  #of(identity: string): number {
    return this.#taken.get(identity) ?? 0
  }

  #isFree(identity: string): boolean {
    const beyond = this.#of(identity) - this.#keptFor(identity)
    if (beyond < 0) return true
    return beyond < Math.ceil(this.#open / 2) && this.#openTaken() < this.#open
  }

  #keptFor(identity: string): number {
    return this.#regulars.has(identity) ? this.#kept : 0
  }

  #openTaken(): number {
    let taken = 0
    for (const [identity, count] of this.#taken) taken += Math.max(0, count - this.#keptFor(identity))
    return taken
  }
}
