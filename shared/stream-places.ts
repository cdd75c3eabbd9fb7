/** Which streams a share process takes: bounded by identity, by name, and in all. */
import { shortIdentity } from './crypto.ts'
import { asNearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import type { Log } from './log.ts'
import { Places } from './places.ts'
import type { Regulars } from './regulars.ts'
import type { MuxStream } from './stream.ts'
import { Tally } from './tally.ts'

export class StreamPlaces {
  readonly #most: number
  readonly #regulars: Regulars
  readonly #log: Log
  readonly #all: Places
  readonly #byName = new Map<string, Places>()
  readonly #refused: Tally

  /** `most`: streams of this process. */
  constructor(most: number, regulars: Regulars, log: Log) {
    this.#most = most
    this.#regulars = regulars
    this.#log = log
    this.#all = new Places(most, regulars)
    this.#refused = new Tally(log, 'connections refused')
  }

  /** Has the stream served if there is a place for it, else resets it. `serve` resolves when nothing is held for it. */
  admit(stream: MuxStream, name: string, owner: string, serve: () => Promise<unknown>): void {
    const places = [this.#all, this.#ofName(name)]
    const taken = places.filter((each) => each.take(owner))
    const give = () => {
      for (const each of taken) each.give(owner)
    }
    if (taken.length < places.length) {
      give()
      const reason = 'the share side has as many connections as it may'
      this.#refused.add({ code: 'too-many-streams', reason, name, owner: shortIdentity(owner) })
      stream.reset('too-many-streams', reason)
      return
    }
    serve()
      .catch((error: unknown) => this.#log.error({ name, reason: asNearportError(error).message }, 'stream not served'))
      .then(give)
  }

  stop(): void {
    this.#refused.stop()
  }

  #ofName(name: string): Places {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    const places = new Places(Math.min(LIMITS.streamsPerName, this.#most), this.#regulars)
    this.#byName.set(name, places)
    return places
  }
}
