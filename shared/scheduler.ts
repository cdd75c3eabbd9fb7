/**
 * Decides what a link sends next. All channels of a connection share one send queue and one congestion window, so
 * fairness has to be decided before bytes enter the engine: deficit round robin (Shreedhar and Varghese, 1995) over
 * the streams of all shares, frames that carry no data first, and little buffered in the engine and on the way.
 */
import type { Engine } from './engine.ts'
import { Flight } from './flight.ts'
import { encodeFrame } from './frames.ts'
import { type Carrier, Lane, type LaneOwner, MessageWriter, type Source, type Urgency } from './lane.ts'
import { LIMITS } from './limits.ts'

interface Turn {
  readonly lane: Lane
  /** bytes the source may still send in this turn */
  deficit: number
}

type Later = Engine['atTurnEnd']

const afterDelay: Later = (run) => {
  setTimeout(run, LIMITS.controlDelay)
}

/** Has `run` called later, once for all the calls until then: a turn or a timer for each would cost more than what it does. */
function gathered(later: Later, run: () => void): () => void {
  let waits = false
  return () => {
    if (waits) return
    waits = true
    later(() => {
      waits = false
      run()
    })
  }
}

export class Scheduler implements LaneOwner {
  readonly #highWater: number
  /** What comes together leaves together. */
  readonly #schedule: () => void
  readonly #scheduleNextTurn: () => void
  readonly #scheduleSoon: () => void
  readonly #flight = new Flight()
  /** Lanes on which something came that the other side was not told of. */
  readonly #unsaid = new Set<Lane>()
  /** Sources with frames that carry no data, in order. */
  readonly #control = new Map<Source, Lane>()
  /** Sources with data; a Map keeps their order, which is the round robin's. */
  readonly #data = new Map<Source, Turn>()
  /** Lanes whose next message has begun. */
  readonly #filling = new Set<Lane>()
  /** Lanes whose carrier may still hold something. */
  readonly #busy = new Set<Lane>()
  /** Of a message on its way to a carrier that copies: one is enough, and a new one each time is what garbage costs most. */
  #memory: Uint8Array | null = null
  /** bytes, at least what the carriers hold: what they held when last asked, and all that was sent since */
  #buffered = 0

  /**
   * `highWater`: bytes buffered in the engine above which it is given no more. `atTurnEnd`: see Engine. `soon`: calls
   * after LIMITS.controlDelay.
   */
  constructor(highWater: number, atTurnEnd: Later = queueMicrotask, soon = afterDelay) {
    this.#highWater = highWater
    this.#schedule = gathered(atTurnEnd, () => this.#pump())
    this.#scheduleNextTurn = gathered(atTurnEnd, this.#schedule)
    this.#scheduleSoon = gathered(soon, this.#schedule)
  }

  addLane(carrier: Carrier): Lane {
    if (carrier.copies) this.#memory ??= new Uint8Array(LIMITS.messageBytes)
    const lane = new Lane(this, carrier, new MessageWriter(carrier.copies ? this.#memory : null))
    carrier.onlow = () => this.#pump()
    return lane
  }

  addControl(lane: Lane, source: Source, urgency: Urgency): void {
    this.#control.set(source, lane)
    if (urgency === 'now') this.#schedule()
    else if (urgency === 'next-turn') this.#scheduleNextTurn()
    else this.#scheduleSoon()
  }

  addData(lane: Lane, source: Source): void {
    if (this.#data.has(source)) return
    this.#data.set(source, { lane, deficit: 0 })
    this.#schedule()
  }

  remove(lane: Lane): void {
    lane.carrier.onlow = null
    for (const [source, owner] of this.#control) if (owner === lane) this.#control.delete(source)
    for (const [source, turn] of this.#data) if (turn.lane === lane) this.#data.delete(source)
    this.#filling.delete(lane)
    this.#busy.delete(lane)
    this.#unsaid.delete(lane)
    this.#flight.lost(lane.inFlight, lane.isAsked)
    this.#schedule()
  }

  /** Lanes that carry little are told of together, as all that is unsaid holds up the other side. */
  received(lane: Lane, bytes: number): void {
    this.#unsaid.add(lane)
    let unsaid = 0
    for (const other of this.#unsaid) unsaid += other.unsaid
    if (unsaid < LIMITS.arrivedEvery && bytes < LIMITS.arrivedEvery) return
    for (const other of this.#unsaid) other.answer()
    this.#unsaid.clear()
  }

  arrived(bytes: number, answered: boolean): void {
    this.#flight.arrived(bytes)
    if (answered) this.#flight.answered()
    this.#schedule()
  }

  #pump(): void {
    while ((this.#hasRoom() || this.#armWakeup()) && this.#step());
    this.#flushAll()
  }

  /** Writes the next frames of one source. False when no source has anything to send. */
  #step(): boolean {
    for (const [source, lane] of this.#control) {
      this.#control.delete(source)
      this.#open(lane)
      source.writeControl(lane.writer)
      return true
    }
    for (const [source, turn] of this.#data) {
      if (!this.#flight.mayGo()) return false
      if (turn.deficit < LIMITS.messageReserve) turn.deficit += LIMITS.quantum
      this.#open(turn.lane)
      const taken = this.#flight.isDue ? this.#ask(source, turn) : source.writeData(turn.lane.writer, turn.deficit)
      turn.deficit -= taken
      if (taken === 0) {
        this.#data.delete(source)
      } else if (turn.deficit < LIMITS.messageReserve) {
        this.#data.delete(source)
        this.#data.set(source, turn)
      }
      return true
    }
    return false
  }

  /** Has the round trip measured, by a message with so little data that it takes no longer than without. */
  #ask(source: Source, { lane, deficit }: Turn): number {
    lane.writer.append(encodeFrame({ type: 'PING', stream: 0 }))
    const taken = source.writeData(lane.writer, Math.min(deficit, LIMITS.pingData))
    this.#flush(lane)
    lane.pinged()
    this.#flight.asks()
    return taken
  }

  /** Makes sure that the lane's message has room for any frame. */
  #open(lane: Lane): void {
    if (lane.writer.room < LIMITS.messageReserve) this.#flush(lane)
    this.#filling.add(lane)
  }

  #flush(lane: Lane): void {
    this.#filling.delete(lane)
    if (lane.writer.bytes > 0) this.send(lane, lane.writer.take())
  }

  send(lane: Lane, message: Uint8Array): void {
    this.#buffered += message.length
    this.#flight.sent(message.length)
    lane.count(message.length)
    this.#busy.add(lane)
    lane.carrier.send(message)
  }

  #flushAll(): void {
    for (const lane of this.#filling) this.#flush(lane)
  }

  #hasRoom(): boolean {
    let filling = 0
    for (const lane of this.#filling) filling += lane.writer.bytes
    const room = this.#highWater - filling
    return this.#buffered < room || this.#measure() < room
  }

  #measure(): number {
    let buffered = 0
    for (const lane of this.#busy) {
      const left = lane.carrier.bufferedAmount
      if (left === 0) this.#busy.delete(lane)
      buffered += left
    }
    this.#buffered = buffered
    return buffered
  }

  /**
   * Makes every busy carrier call back when it is half empty. True if there is room after all: an engine with
   * threads may have drained below the threshold before it was set, and would then never call.
   */
  #armWakeup(): boolean {
    this.#flushAll()
    for (const { carrier } of this.#busy) carrier.bufferedAmountLowThreshold = Math.floor(carrier.bufferedAmount / 2)
    return this.#measure() < this.#highWater
  }
}
