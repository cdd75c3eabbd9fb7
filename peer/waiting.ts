/** Connections that wait for a place at a target: the turns go round among identities, whoever has how many. */
import { LIMITS } from '../shared/limits.ts'
import { Places } from '../shared/places.ts'
import type { Regulars } from '../shared/regulars.ts'

export class WaitingLine {
  readonly #regulars: Regulars
  readonly #places: Places
  /** By identity, in the order of their turns; what each begins. */
  readonly #lines = new Map<string, (() => void)[]>()
  /** The next turn is that of a regular, if one waits. */
  #regularNext = true

  constructor(regulars: Regulars) {
    this.#regulars = regulars
    this.#places = new Places(LIMITS.queuedStreams, regulars)
  }

  get length(): number {
    return this.#places.taken
  }

  /** `begin` is called at its turn. False if there is no place to wait. */
  add(owner: string, begin: () => void): boolean {
    if (!this.#places.take(owner)) return false
    const line = this.#lines.get(owner)
    if (line === undefined) this.#lines.set(owner, [begin])
    else line.push(begin)
    return true
  }

  /** It waits no longer. */
  remove(owner: string, begin: () => void): void {
    const line = this.#lines.get(owner) ?? []
    const at = line.indexOf(begin)
    if (at < 0) return
    line.splice(at, 1)
    if (line.length === 0) this.#lines.delete(owner)
    this.#places.give(owner)
  }

  /** Calls the next one, if there is one. */
  next(): void {
    const owners = [...this.#lines.keys()]
    const owner = owners.find((each) => this.#regulars.has(each) === this.#regularNext) ?? owners[0]
    const line = owner === undefined ? undefined : this.#lines.get(owner)
    if (owner === undefined || line === undefined) return
    this.#regularNext = !this.#regulars.has(owner)
    const begin = line.shift()
    // Its next turn comes after those of the others.
    this.#lines.delete(owner)
    if (line.length > 0) this.#lines.set(owner, line)
    this.#places.give(owner)
    begin?.()
  }
}
