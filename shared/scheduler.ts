/**
 * Decides what a link sends next. All channels of a connection share one send queue and one congestion window, so
 * fairness has to be decided before bytes enter the engine: deficit round robin (Shreedhar and Varghese, 1995) over
 * the streams of all shares, frames that carry no data first, and little buffered in the engine.
 */
import { LIMITS } from './limits.ts'

/** What carries messages: a data channel, or a pair in memory. Ordered and reliable. */
export interface Carrier {
  /** Does not throw; a carrier that is closing drops the message and its link reports the loss. */
  send(message: Uint8Array): void
  /** `send` is done with the memory of a message when it returns. */
  readonly copies: boolean
  /** bytes handed over and not yet passed on to the network */
  readonly bufferedAmount: number
  /** bytes; `onlow` is called when `bufferedAmount` falls to this from above */
  bufferedAmountLowThreshold: number
  onlow: (() => void) | null
}

/** One sender of frames. It calls `ready` on its lane whenever one of the two has something to give. */
export interface Source {
  /** Appends all frames that carry no data and may go at once. */
  writeControl(message: MessageWriter): void
  /**
   * Appends up to `limit` bytes of data (and what must follow it), as far as the message has room and the other
   * side gave credit. Returns the bytes taken; 0 when there is nothing to send for now.
   */
  writeData(message: MessageWriter, limit: number): number
}

/** Collects frames for one message; the parts are copied once, at the end. */
export class MessageWriter {
  readonly #memory: Uint8Array | null
  #parts: Uint8Array[] = []
  #bytes = 0

  /** `memory`: of one message, for all of them in turn; null where each needs its own. */
  constructor(memory: Uint8Array | null) {
    this.#memory = memory
  }

  get bytes(): number {
    return this.#bytes
  }

  /** bytes that still fit */
  get room(): number {
    return LIMITS.messageBytes - this.#bytes
  }

  append(part: Uint8Array): void {
    this.#parts.push(part)
    this.#bytes += part.length
  }

  take(): Uint8Array {
    const message = this.#memory?.subarray(0, this.#bytes) ?? new Uint8Array(this.#bytes)
    let at = 0
    for (const part of this.#parts) {
      message.set(part, at)
      at += part.length
    }
    this.#parts = []
    this.#bytes = 0
    return message
  }
}

/** The way from the streams of one share to their channel. */
export class Lane {
  readonly carrier: Carrier
  readonly writer: MessageWriter
  readonly #scheduler: Scheduler

  constructor(scheduler: Scheduler, carrier: Carrier, writer: MessageWriter) {
    this.#scheduler = scheduler
    this.carrier = carrier
    this.writer = writer
  }

  readyControl(source: Source): void {
    this.#scheduler.addControl(this, source)
  }

  readyData(source: Source): void {
    this.#scheduler.addData(this, source)
  }

  /** Sends a whole message, before all that is not yet on its way. */
  send(message: Uint8Array): void {
    this.#scheduler.send(this, message)
  }

  /** The channel is gone: nothing more is sent on it. */
  close(): void {
    this.#scheduler.remove(this)
  }
}

interface Turn {
  readonly lane: Lane
  /** bytes the source may still send in this turn */
  deficit: number
}

export class Scheduler {
  readonly #highWater: number
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
  #scheduled = false

  /** `highWater`: bytes buffered in the engine above which it is given no more. */
  constructor(highWater: number) {
    this.#highWater = highWater
  }

  addLane(carrier: Carrier): Lane {
    if (carrier.copies) this.#memory ??= new Uint8Array(LIMITS.messageBytes)
    const lane = new Lane(this, carrier, new MessageWriter(carrier.copies ? this.#memory : null))
    carrier.onlow = () => this.#pump()
    return lane
  }

  addControl(lane: Lane, source: Source): void {
    this.#control.set(source, lane)
    this.#schedule()
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
    this.#schedule()
  }

  /** Waits for the end of the current job (a microtask), so that what comes together leaves together. */
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#pump()
    })
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
      if (turn.deficit < LIMITS.messageReserve) turn.deficit += LIMITS.quantum
      this.#open(turn.lane)
      const taken = source.writeData(turn.lane.writer, turn.deficit)
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
