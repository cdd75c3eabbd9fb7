/**
 * How many bytes a link has on its way, and how many it should have. An engine takes in more than it tells of, so
 * that what is handed to it has to be bounded by what the other side says has arrived: enough that the path never runs
 * dry, and no more, as a small job waits behind all of it. The bound is what the path holds, as much again and some
 * milliseconds for the other process to be woken, but no more beyond the path than the other side's socket can keep; like BBR's (Cardwell et al., "BBR", 2016), it comes from the rate at
 * which bytes arrive and from the round trip of a path that is not filled by ourselves.
 */
import { LIMITS } from './limits.ts'

/** bytes below which the path counts as empty: about what the other side may leave unsaid */
const EMPTY = 2 * LIMITS.arrivedEvery
/** How much of a longer round trip is believed at once: the other process may just have been busy. */
const SLOWER = 1 / 4

export class Flight {
  readonly #now: () => number
  #bytes = 0
  #window: number = LIMITS.flightFirst
  /** ms; null before it was measured */
  #roundTrip: number | null = null
  /** performance.now() of the last measurement, or try */
  #asked = Number.NEGATIVE_INFINITY
  #waits = false
  /** bytes a ms */
  #rate = 0
  /** What arrived since when, and whether all that time more could have been sent. */
  #interval = { since: 0, bytes: 0, full: false }

  /** `now`: ms, of a clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** bytes sent and not known to have arrived */
  get bytes(): number {
    return this.#bytes
  }

  /** bytes that may be on their way at once */
  get window(): number {
    return this.#window
  }

  /** Whether data may be sent now. Whoever calls it has some. */
  mayGo(): boolean {
    if (this.#isDue(LIMITS.roundTripBusy) && this.#bytes >= EMPTY) return false
    if (this.#bytes < this.#window) return true
    this.#interval.full = true
    return false
  }

  /** The round trip is to be measured before the next data: {@link asks} the other side to answer at once. */
  get isDue(): boolean {
    return this.#isDue(LIMITS.roundTripIdle) && this.#bytes < EMPTY
  }

  asks(): void {
    this.#asked = this.#now()
    this.#waits = true
    this.#restart()
  }

  /** The other side answered what {@link asks} was called for. */
  answered(): void {
    if (!this.#waits) return
    this.#waits = false
    const sample = this.#now() - this.#asked
    const before = this.#roundTrip ?? sample
    this.#roundTrip = sample < before ? sample : before + SLOWER * (sample - before)
  }

  sent(bytes: number): void {
    if (this.#bytes === 0) this.#restart()
    this.#bytes += bytes
  }

  arrived(bytes: number): void {
    this.#bytes -= bytes
    this.#interval.bytes += bytes
    if (this.#roundTrip === null) return
    const elapsed = this.#now() - this.#interval.since
    if (elapsed < Math.max(this.#roundTrip, LIMITS.flightSlack)) return
    this.#learn(this.#interval.bytes / elapsed, this.#roundTrip)
    this.#restart()
  }

  /** A channel is gone with what was on its way in it; `asked`: the question, too. */
  lost(bytes: number, asked: boolean): void {
    this.#bytes -= bytes
    if (asked) this.#waits = false
  }

  #isDue(every: number): boolean {
    return !this.#waits && this.#now() - this.#asked >= every
  }

  #learn(rate: number, roundTrip: number): void {
    // Where nothing more was to be sent the path may be able to do more than was seen.
    this.#rate = rate > this.#rate || !this.#interval.full ? Math.max(rate, this.#rate) : (rate + this.#rate) / 2
    const path = this.#rate * roundTrip
    const window = path + Math.min(path + this.#rate * LIMITS.flightSlack, LIMITS.flightQueue)
    this.#window = Math.round(Math.min(Math.max(window, LIMITS.flightLeast), LIMITS.flightMost))
  }

  #restart(): void {
    this.#interval = { since: this.#now(), bytes: 0, full: false }
  }
}
