/**
 * The way of one share's messages to its channel, and the account of them: what was sent, what of it has arrived at the
 * other side, what came from there, and what of that was said.
 */
import { encodeFrame } from './frames.ts'
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

/**
 * When frames without data leave: at the end of this turn, at that of the next one, or within LIMITS.controlDelay; sooner
 * if anything else does, as a message costs as much as a thousand bytes in it.
 */
export type Urgency = 'now' | 'next-turn' | 'soon'

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

/** What a lane needs of the scheduler it belongs to. */
export interface LaneOwner {
  addControl(lane: Lane, source: Source, urgency: Urgency): void
  addData(lane: Lane, source: Source): void
  /** Sends a whole message, before all that is not yet on its way. */
  send(lane: Lane, message: Uint8Array): void
  /** A message of so many bytes came. */
  received(lane: Lane, bytes: number): void
  /** So many bytes more have arrived; `answered`: among them the ping. */
  arrived(bytes: number, answered: boolean): void
  remove(lane: Lane): void
}

/** The way from the streams of one share to their channel. */
export class Lane {
  readonly carrier: Carrier
  readonly writer: MessageWriter
  readonly #owner: LaneOwner
  /** bytes of messages, in each direction, and how many of them the other side knows or said to have arrived */
  #sent = 0
  #sentArrived = 0
  #received = 0
  #receivedSaid = 0
  /** bytes sent up to and with the ping that was not answered */
  #pingEnd = Number.POSITIVE_INFINITY
  /** What says how much has arrived: a source of its own, so that it is queued once. */
  readonly #teller: Source = {
    writeControl: (message) => {
      this.#receivedSaid = this.#received
      message.append(encodeFrame({ type: 'ARRIVED', stream: 0, bytes: this.#received }))
    },
    writeData: () => 0,
  }

  constructor(owner: LaneOwner, carrier: Carrier, writer: MessageWriter) {
    this.#owner = owner
    this.carrier = carrier
    this.writer = writer
  }

  readyControl(source: Source, urgency: Urgency): void {
    this.#owner.addControl(this, source, urgency)
  }

  readyData(source: Source): void {
    this.#owner.addData(this, source)
  }

  /** Sends a whole message, before all that is not yet on its way. */
  send(message: Uint8Array): void {
    this.#owner.send(this, message)
  }

  /** A message of so many bytes came. */
  received(bytes: number): void {
    this.#received += bytes
    this.#owner.received(this, bytes)
  }

  /** The other side wants to know at once how much has arrived. */
  answer(): void {
    this.#owner.addControl(this, this.#teller, 'now')
  }

  /** The other side has the first `bytes` of what was sent. Returns what is wrong with that, or null. */
  arrived(bytes: number): string | null {
    if (bytes < this.#sentArrived || bytes > this.#sent) return `got ${bytes} bytes of ${this.#sent}`
    const more = bytes - this.#sentArrived
    this.#sentArrived = bytes
    const answered = bytes >= this.#pingEnd
    if (answered) this.#pingEnd = Number.POSITIVE_INFINITY
    this.#owner.arrived(more, answered)
    return null
  }

  /** For the scheduler: a ping has left, at the end of the last message. */
  pinged(): void {
    this.#pingEnd = this.#sent
  }

  /** The other side was asked, and has not answered yet. */
  get isAsked(): boolean {
    return this.#pingEnd !== Number.POSITIVE_INFINITY
  }

  /** For the scheduler: a message of so many bytes leaves. */
  count(bytes: number): void {
    this.#sent += bytes
  }

  /** bytes on their way to the other side */
  get inFlight(): number {
    return this.#sent - this.#sentArrived
  }

  /** bytes that came, of which the other side was not told */
  get unsaid(): number {
    return this.#received - this.#receivedSaid
  }

  /** The channel is gone: nothing more is sent on it. */
  close(): void {
    this.#owner.remove(this)
  }
}
