/**
 * Who may reserve and release which name. Writes of one name take turns, so that two peers cannot both get it, and
 * what others see changes only once it is on disk: there is nothing to roll back when the disk refuses.
 */
import { fromBase64Url } from '../shared/bytes.ts'
import { isSoundPublicKey } from '../shared/ed25519.ts'
import { NearportError } from '../shared/errors.ts'
import type { Limits } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import { Buckets } from './buckets.ts'
import type { Reservation, Store } from './store.ts'

/**
 * Releases names of identities that are refused today: earlier versions took keys that everybody can sign for. Peers
 * would not understand a message that names one. Throws `store-failed`.
 */
export async function releaseNobodys(store: Store, log: Log): Promise<void> {
  for (const [name, { owner }] of [...store.reservations]) {
    if (isSoundPublicKey(fromBase64Url(owner) ?? new Uint8Array())) continue
    await store.delete(name)
    log.warn({ name, owner }, 'released a name whose owner has an identity that everybody can sign for')
  }
}

export class Reservations {
  readonly #store: Store
  readonly #limits: Limits
  readonly #rates: Buckets
  /** Names being written to disk, with the identity that reserves them. */
  readonly #reserving = new Map<string, string>()
  /** The last write of each name that is not done yet; never rejects. */
  readonly #turns = new Map<string, Promise<void>>()
  readonly #owned = new Map<string, number>()

  constructor(store: Store, limits: Limits) {
    this.#store = store
    this.#limits = limits
    this.#rates = new Buckets(limits.reservationsPerHour / 3600, limits.reservationsBurst)
    for (const { owner } of store.reservations.values()) this.#count(owner, 1)
  }

  get(name: string): Reservation | undefined {
    return this.#store.reservations.get(name)
  }

  all(): ReadonlyMap<string, Reservation> {
    return this.#store.reservations
  }

  /** The identity that has the name or is about to; undefined if nobody. */
  owner(name: string): string | undefined {
    return this.get(name)?.owner ?? this.#reserving.get(name)
  }

  /**
   * Resolves once the reservation is on disk. To reserve one's own name again is no error: the answer to the first
   * request may have been lost. `source` is where the request comes from; `isFree` is asked when the turn has come. Throws `name-taken`,
   * `too-many-names`, `rate-limited`, `store-failed`.
   */
  reserve(name: string, reservation: Reservation, source: string, isFree: () => boolean): Promise<void> {
    return this.#inTurn(name, async () => {
      const owner = this.get(name)?.owner
      if (owner === reservation.owner) return
      if (owner !== undefined || !isFree()) throw new NearportError('name-taken', `the name ${name} is taken`)
      this.#checkRoom(reservation.owner)
      if (!this.#rates.take(source)) {
        throw new NearportError('rate-limited', 'too many names were reserved from this address within the hour')
      }
      this.#reserving.set(name, reservation.owner)
      this.#count(reservation.owner, 1)
      try {
        await this.#store.put(name, reservation)
      } catch (error) {
        this.#count(reservation.owner, -1)
        throw error
      } finally {
        this.#reserving.delete(name)
      }
    })
  }

  /** Resolves once the reservation is gone from disk. Throws `name-unknown`, `not-owner`, `store-failed`. */
  release(name: string, identity: string): Promise<void> {
    return this.#inTurn(name, async () => {
      const owner = this.get(name)?.owner
      if (owner === undefined) throw new NearportError('name-unknown', `the name ${name} is not reserved`)
      if (owner !== identity)
        throw new NearportError('not-owner', `the name ${name} is reserved by another environment`)
      await this.#store.delete(name)
      this.#count(identity, -1)
    })
  }

  /** For the end: resolves when no write is under way. */
  async settled(): Promise<void> {
    this.#rates.stop()
    await Promise.all(this.#turns.values())
  }

  #checkRoom(identity: string): void {
    const { reservationsPerIdentity, reservationsPerServer } = this.#limits
    if ((this.#owned.get(identity) ?? 0) >= reservationsPerIdentity) {
      throw new NearportError('too-many-names', `an environment may reserve ${reservationsPerIdentity} names`)
    }
    const free = reservationsPerServer - this.#store.reservations.size - this.#reserving.size
    // As with a Quota: whoever takes all he can leaves as much to the next.
    if ((this.#owned.get(identity) ?? 0) >= free) {
      throw new NearportError(
        'too-many-names',
        `this server holds at most ${reservationsPerServer} names, and has none left for this environment`,
      )
    }
  }

  #count(identity: string, change: 1 | -1): void {
    const count = (this.#owned.get(identity) ?? 0) + change
    if (count === 0) this.#owned.delete(identity)
    else this.#owned.set(identity, count)
  }

  async #inTurn(name: string, write: () => Promise<void>): Promise<void> {
    const result = (this.#turns.get(name) ?? Promise.resolve()).then(write)
    const endTurn = () => {
      if (this.#turns.get(name) === settled) this.#turns.delete(name)
    }
    const settled: Promise<void> = result.then(endTurn, endTurn)
    this.#turns.set(name, settled)
    await result
  }
}
