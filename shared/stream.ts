/**
 * One TCP connection inside a share's channel: bytes in order both ways, each direction with its own end (FIN) and
 * its own credit, and one RESET that ends both. The owner sets the `on…` callbacks in the turn it gets the stream.
 */
import { NearportError } from './errors.ts'
import { DATA_OVERHEAD, encodeDataHeader, encodeFrame, type Frame, type ResetCode } from './frames.ts'
import { LIMITS } from './limits.ts'
import type { Lane, MessageWriter, Source } from './scheduler.ts'

/** What the windows of one link may grow by together; see LIMITS.linkWindowBudget. */
export class WindowBudget {
  #left: number

  constructor(bytes: number = LIMITS.linkWindowBudget) {
    this.#left = bytes
  }

  take(bytes: number): boolean {
    if (bytes > this.#left) return false
    this.#left -= bytes
    return true
  }

  give(bytes: number): void {
    this.#left += bytes
  }
}

/** What a stream needs of the mux it belongs to. */
export interface StreamOwner {
  readonly lane: Lane
  readonly budget: WindowBudget
  /** The stream has ended in both directions, or was reset; a RESET of ours has left. */
  forget(stream: MuxStream): void
}

export class MuxStream implements Source {
  readonly id: number
  /** Bytes arrived: give them to the socket, and report with {@link taken} once it has them. */
  ondata: (bytes: Uint8Array) => void = () => undefined
  /** The other side will send no more. */
  onend: () => void = () => undefined
  /** Both directions are over, by the other side or by the loss of the link; not called after our own reset(). */
  onreset: (reason: NearportError) => void = () => undefined
  /** The stream is over, in whichever way; the last call of all. */
  onclose: () => void = () => undefined
  /** write() may go on after it returned false. */
  ondrain: () => void = () => undefined

  readonly #owner: StreamOwner
  #closed = false

  // Sending. Offsets count bytes from the beginning of the direction.
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  #sent = 0
  #limit: number = LIMITS.initialWindow
  #farTaken = 0
  #mustOpen: boolean
  #ending = false
  #finSent = false
  #pausedWriter = false
  #resetFrame: Uint8Array | null = null

  // Receiving.
  #received = 0
  #taken = 0
  #window: number = LIMITS.initialWindow
  #granted: number = LIMITS.initialWindow
  #finReceived = false
  /** The far side came close to its limit since the window was last looked at. */
  #pressed = false
  #windowMark = 0

  constructor(owner: StreamOwner, id: number, opener: boolean) {
    this.#owner = owner
    this.id = id
    this.#mustOpen = opener
    if (opener) owner.lane.readyControl(this)
  }

  /** Queues bytes (kept, not copied). False: enough is queued, go on after `ondrain`. */
  write(bytes: Uint8Array): boolean {
    if (this.#closed || bytes.length === 0) return true
    if (this.#ending) throw new NearportError('internal', 'write after end')
    this.#queue.push(bytes)
    this.#queuedBytes += bytes.length
    this.#owner.lane.readyData(this)
    this.#pausedWriter = this.#queuedBytes >= LIMITS.streamQueue
    return !this.#pausedWriter
  }

  /** Ends our direction after what was written; the other goes on. */
  end(): void {
    if (this.#closed || this.#ending) return
    this.#ending = true
    this.#owner.lane.readyData(this)
  }

  /** Ends both directions at once, and tells the other side why. */
  reset(code: ResetCode, text: string): void {
    if (this.#closed) return
    // The other side does not know a stream whose OPEN never left.
    if (!this.#mustOpen) {
      this.#resetFrame = encodeFrame({ type: 'RESET', stream: this.id, code, text })
      this.#owner.lane.readyControl(this)
    }
    this.#close()
  }

  /** The socket took `bytes` more bytes of what `ondata` gave: the other side may send as many again. */
  taken(bytes: number): void {
    if (this.#closed) return
    this.#taken += bytes
    this.#growWindow()
    if (this.#finReceived) return
    if (this.#taken + this.#window - this.#granted >= this.#window / 4) this.#owner.lane.readyControl(this)
  }

  // ── what the scheduler calls ────────────────────────────────────────────────────────────────────────────────

  writeControl(message: MessageWriter): void {
    if (this.#resetFrame !== null) {
      message.append(this.#resetFrame)
      this.#resetFrame = null
      this.#owner.forget(this)
    }
    if (this.#closed) return
    if (this.#mustOpen) {
      message.append(encodeFrame({ type: 'OPEN', stream: this.id }))
      this.#mustOpen = false
    }
    if (this.#taken + this.#window > this.#granted && !this.#finReceived) {
      this.#granted = this.#taken + this.#window
      message.append(encodeFrame({ type: 'CREDIT', stream: this.id, taken: this.#taken, window: this.#window }))
    }
  }

  writeData(message: MessageWriter, limit: number): number {
    if (this.#closed) return 0
    const before = message.bytes
    let bytes = Math.min(this.#queuedBytes, this.#limit - this.#sent, limit, message.room - DATA_OVERHEAD)
    if (bytes > 0) {
      message.append(encodeDataHeader(this.id, this.#sent, bytes))
      this.#sent += bytes
      this.#queuedBytes -= bytes
      while (bytes > 0) bytes -= this.#shift(message, bytes)
    }
    if (this.#ending && !this.#finSent && this.#queuedBytes === 0 && message.room >= DATA_OVERHEAD) {
      message.append(encodeFrame({ type: 'FIN', stream: this.id, offset: this.#sent }))
      this.#finSent = true
      this.#closeIfDone()
    }
    if (this.#pausedWriter && this.#queuedBytes <= LIMITS.streamQueue / 2) {
      this.#pausedWriter = false
      this.ondrain()
    }
    return message.bytes - before
  }

  /** Appends at most `bytes` of the first queued chunk. */
  #shift(message: MessageWriter, bytes: number): number {
    const [first] = this.#queue
    if (first === undefined) throw new NearportError('internal', 'the queue of a stream is shorter than its count')
    if (first.length <= bytes) {
      this.#queue.shift()
      message.append(first)
      return first.length
    }
    this.#queue[0] = first.subarray(bytes)
    message.append(first.subarray(0, bytes))
    return bytes
  }

  // ── what the mux calls ──────────────────────────────────────────────────────────────────────────────────────

  /** A frame of this stream arrived. Throws `frame-malformed` or `credit-overrun`: the other side is to be cut off. */
  receive(frame: Exclude<Frame, { type: 'OPEN' }>): void {
    if (this.#closed) return
    switch (frame.type) {
      case 'DATA':
        this.#receiveData(frame.offset, frame.payload)
        break
      case 'CREDIT':
        this.#receiveCredit(frame.taken, frame.window)
        break
      case 'FIN':
        this.#receiveFin(frame.offset)
        break
      case 'RESET':
        this.fail(new NearportError(frame.code, frame.text))
    }
  }

  /** Ends both directions without a word to the other side: it said so itself, or cannot be reached. */
  fail(reason: NearportError): void {
    if (this.#closed) return
    this.onreset(reason)
    this.#close()
  }

  #receiveData(offset: number, payload: Uint8Array): void {
    if (this.#finReceived) throw this.#malformed('sent data after its FIN')
    if (offset !== this.#received) throw this.#malformed(`sent data at ${offset} where ${this.#received} was next`)
    const end = offset + payload.length
    if (end > this.#granted) {
      throw new NearportError('credit-overrun', `stream ${this.id}: ${end} bytes were sent, ${this.#granted} allowed`)
    }
    this.#received = end
    if (end + LIMITS.messageBytes > this.#granted) this.#pressed = true
    this.ondata(payload)
  }

  #receiveCredit(taken: number, window: number): void {
    if (taken < this.#farTaken || taken > this.#sent) throw this.#malformed(`took ${taken} bytes of ${this.#sent}`)
    if (window > LIMITS.maximumWindow || taken + window < this.#limit) throw this.#malformed('took credit back')
    this.#farTaken = taken
    this.#limit = taken + window
    if (this.#queuedBytes > 0) this.#owner.lane.readyData(this)
  }

  #receiveFin(offset: number): void {
    if (this.#finReceived) throw this.#malformed('sent a second FIN')
    if (offset !== this.#received) throw this.#malformed(`ended at ${offset} after ${this.#received} bytes`)
    this.#finReceived = true
    this.onend()
    this.#closeIfDone()
  }

  #malformed(what: string): NearportError {
    return new NearportError('frame-malformed', `stream ${this.id}: the other side ${what}`)
  }

  /**
   * Doubles the window when the far side used all of it and our application keeps up: a slow printer keeps the
   * first window however much is sent to it.
   */
  #growWindow(): void {
    if (this.#taken - this.#windowMark < this.#window) return
    const keepsUp = this.#received - this.#taken < this.#window / 2
    if (this.#pressed && keepsUp && this.#window < LIMITS.maximumWindow && this.#owner.budget.take(this.#window)) {
      this.#window *= 2
    }
    this.#windowMark = this.#taken
    this.#pressed = false
  }

  #closeIfDone(): void {
    if (this.#finSent && this.#finReceived) this.#close()
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#queue = []
    this.#queuedBytes = 0
    this.#owner.budget.give(this.#window - LIMITS.initialWindow)
    // Until its RESET has left it counts, so that who opens streams and never reads cannot make us queue without end.
    if (this.#resetFrame === null) this.#owner.forget(this)
    this.onclose()
  }
}
