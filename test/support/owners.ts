/** Known owners in memory, for tests of what uses them. */
import type { NearportError } from '../../shared/errors.ts'
import type { OwnerStore } from '../../shared/known-owners.ts'

export class MemoryStore implements OwnerStore {
  readonly known = new Map<string, string>()
  /** What fails from now on. */
  failing: NearportError | null = null

  get(name: string): Promise<string | null> {
    return Promise.resolve(this.known.get(name) ?? null)
  }

  async keep(name: string, owner: string): Promise<string> {
    if (this.failing !== null) throw this.failing
    const known = this.known.get(name) ?? owner
    this.known.set(name, known)
    return known
  }
}
