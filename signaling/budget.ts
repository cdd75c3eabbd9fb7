/** How many messages environments and addresses cause: those they send, and those that are sent because of them. */
import type { Limits } from '../shared/limits.ts'
import { Buckets } from './buckets.ts'
import type { Holder } from './quota.ts'

export class Budget {
  readonly #identities: Buckets
  readonly #sources: Buckets

  constructor(limits: Limits) {
    this.#identities = new Buckets(limits.identityMessagesPerSecond, limits.identityBurst)
    this.#sources = new Buckets(limits.sourceMessagesPerSecond, limits.sourceBurst)
  }

  /** False when the environment or the address has caused too many. */
  spend({ identity, source }: Holder, messages: number): boolean {
    // Both are asked: an environment that is out of budget must not spend that of its address.
    return this.#identities.take(identity, messages) && this.#sources.take(source, messages)
  }

  stop(): void {
    this.#identities.stop()
    this.#sources.stop()
  }
}
