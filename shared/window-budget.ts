import { LIMITS } from './limits.ts'

/** What the windows of one tunnel may grow by together; see LIMITS.windowBudget. */
export class WindowBudget {
  #left: number

  constructor(bytes: number = LIMITS.windowBudget) {
    this.#left = bytes
  }

  take(bytes: number): boolean {
    if (bytes > this.#left) return false
    this.#left -= bytes
    return true
  }

  give(bytes: number): void {
    this.#left += bytes
  }
}
