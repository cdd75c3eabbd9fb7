/** Things of which any one can be picked by chance, or taken out, at once however many there are. */
export class Bag<T> {
  readonly #items: T[] = []
  readonly #at = new Map<T, number>()

  get size(): number {
    return this.#items.length
  }

  add(item: T): void {
    this.#at.set(item, this.#items.push(item) - 1)
  }

  /** False if it is not in here. */
  delete(item: T): boolean {
    const at = this.#at.get(item)
    if (at === undefined) return false
    this.#at.delete(item)
    const last = this.#items.pop()
    if (last !== undefined && last !== item) {
      this.#items[at] = last
      this.#at.set(last, at)
    }
    return true
  }

  all(): T[] {
    return [...this.#items]
  }

  /** Undefined if there is none. */
  random(): T | undefined {
    return this.#items[Math.floor(Math.random() * this.#items.length)]
  }
}
