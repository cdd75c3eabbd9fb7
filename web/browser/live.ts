/** A value that changes, and tells those who listen. */
import type { Live } from './api.ts'

export class LiveValue<T> implements Live<T> {
  #current: T
  readonly #listeners = new Set<(value: T) => void>()

  constructor(first: T) {
    this.#current = first
  }

  get current(): T {
    return this.#current
  }

  subscribe(listener: (value: T) => void): () => void {
    // One of its own, so that a function that listens twice is told twice.
    const own = (value: T) => listener(value)
    this.#listeners.add(own)
    own(this.#current)
    return () => this.#listeners.delete(own)
  }

  set(value: T): void {
    if (value === this.#current) return
    this.#current = value
    for (const listener of [...this.#listeners]) listener(value)
  }
}
