/**
 * How many bytes a link has on its way, and how many it should have. An engine takes in more than it tells of, so that
 * what is handed to it has to be bounded by what the other side says has arrived: enough that the path never runs dry,
 * and no more, as a small job waits behind all of it. The bound is what the path holds, as much again and some
 * milliseconds for the other process to be woken, but no more beyond the path than the other side's socket can keep;
 * like BBR's (Cardwell et al., "BBR", 2016), it comes from the rate at which bytes arrive and from the round trip of a
 * path that is not filled by ourselves.
 */
import { LIMITS } from './limits.ts'

/** bytes below which the path counts as empty: about what the other side may leave unsaid */
const EMPTY = 2 * LIMITS.arrivedEvery
/** How much of a longer round trip is believed at once: the other process may just have been busy. */
const SLOWER = 1 / 4

/**
 * A message on its way. By the time it arrives so has all that was sent before it, in bursts or not: what arrives meanwhile
 * is what the path carries in a round trip (Cheng et al., "Delivery Rate Estimation", 2017).
 */
interface Sample {
  /** ms: when it was sent */
  readonly since: number
  /** bytes ever sent with it, and ever arrived before */
  readonly end: number
  readonly arrived: number
  /** More could have been sent at some time meanwhile. */
  full: boolean
}

export class Flight {
  readonly #now: () => number
  /** bytes ever */
  #sent = 0
  #arrived = 0
  #window: number = LIMITS.flightFirst
  /** ms; null before it was measured */
  #roundTrip: number | null = null
  /** performance.now() of the last measurement, or try */
  #asked = Number.NEGATIVE_INFINITY
  #waits = false
  /** bytes a ms */
  #rate = 0
  /** What the rate is taken from, while it is on its way. */
  #sample: Sample | null = null

  /** `now`: ms, of a clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** bytes sent and not known to have arrived */
  get bytes(): number {
    return this.#sent - this.#arrived
  }

  /** bytes that may be on their way at once */
  get window(): number {
    return this.#window
  }

  /** Whether data may be sent now. Whoever calls it has some. */
  mayGo(): boolean {
    if (this.#isDue(LIMITS.roundTripBusy) && this.bytes >= EMPTY) return false
    if (this.bytes < this.#window) return true
    if (this.#sample !== null) this.#sample.full = true
    return false
  }

  /** The round trip is to be measured before the next data: {@link asks} the other side to answer at once. */
  get isDue(): boolean {
    return this.#isDue(LIMITS.roundTripIdle) && this.bytes < EMPTY
  }

  asks(): void {
    this.#asked = this.#now()
    this.#waits = true
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
    this.#sent += bytes
    // The last of what is sent at once: by the time it has arrived all of that has.
    if (this.#sample !== null && this.#sample.arrived !== this.#arrived) return
    const full = this.#sample?.full ?? false
    this.#sample = { since: this.#now(), end: this.#sent, arrived: this.#arrived, full }
  }

  arrived(bytes: number): void {
    this.#arrived += bytes
    const sample = this.#sample
    if (sample === null || this.#arrived < sample.end || this.#roundTrip === null) return
    const elapsed = this.#now() - sample.since
    if (elapsed < LIMITS.flightSlack) return
    this.#learn((this.#arrived - sample.arrived) / elapsed, this.#roundTrip, sample.full)
    this.#sample = null
  }

  /** A channel is gone with what was on its way in it; `asked`: the question, too. */
  lost(bytes: number, asked: boolean): void {
    this.#arrived += bytes
    this.#sample = null
    if (asked) this.#waits = false
  }

  #isDue(every: number): boolean {
    return !this.#waits && this.#now() - this.#asked >= every
  }

  #learn(rate: number, roundTrip: number, full: boolean): void {
    // Where nothing more was to be sent the path may be able to do more than was seen.
    this.#rate = rate > this.#rate || !full ? Math.max(rate, this.#rate) : (rate + this.#rate) / 2
    const path = this.#rate * roundTrip
    const window = path + Math.min(path + this.#rate * LIMITS.flightSlack, LIMITS.flightQueue)
    this.#window = Math.round(Math.min(Math.max(window, LIMITS.flightLeast), LIMITS.flightMost))
  }
}
