/**
 * The places of those who are not admitted yet. A newcomer always gets one, as a member needs it for a moment only: where
 * all are taken, one by chance gives way, first among those of the same source (as in sshd's MaxStartups). So whoever
 * holds places in silence loses them, and who floods loses as many more as he has.
 */
import type { Limits } from '../shared/limits.ts'
import { Bag } from './bag.ts'
import { Buckets } from './buckets.ts'
import type { Drops } from './drops.ts'

export interface Place {
  readonly source: string
  /** Called when the place is given to another; ends the connection. */
  onevicted: () => void
  /** Gives the place up; does nothing the second time. */
  leave(): void
}

export class Places {
  readonly #limits: Limits
  readonly #drops: Drops
  readonly #rates: Buckets
  readonly #all = new Bag<Place>()
  readonly #bySource = new Map<string, Bag<Place>>()

  constructor(limits: Limits, drops: Drops) {
    this.#limits = limits
    this.#drops = drops
    this.#rates = new Buckets(limits.connectionsPerSecond, limits.connectionsBurst)
  }

  get size(): number {
    return this.#all.size
  }

  /** Null when the source connects too often. */
  take(source: string, onevicted: () => void): Place | null {
    if (!this.#rates.take(source)) {
      this.#drops.count('connects too often', source)
      return null
    }
    const siblings = this.#bySource.get(source) ?? new Bag<Place>()
    if (siblings.size >= this.#limits.pendingPerSource) this.#evict(siblings)
    else if (this.#all.size >= this.#limits.signalingPending) this.#evict(this.#all)
    const place: Place = { source, onevicted, leave: () => this.#leave(place) }
    this.#all.add(place)
    siblings.add(place)
    this.#bySource.set(source, siblings)
    return place
  }

  /** Ends the connections of all who hold a place. */
  close(): void {
    this.#rates.stop()
    for (const place of this.#all.all()) {
      this.#leave(place)
      place.onevicted()
    }
  }

  #evict(from: Bag<Place>): void {
    const place = from.random()
    if (place === undefined) return
    this.#leave(place)
    this.#drops.count('gave way to another', place.source)
    place.onevicted()
  }

  #leave(place: Place): void {
    const siblings = this.#bySource.get(place.source)
    if (siblings?.delete(place) !== true) return
    if (siblings.size === 0) this.#bySource.delete(place.source)
    this.#all.delete(place)
  }
}
