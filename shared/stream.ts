/**
 * One TCP connection inside a share's channel: bytes in order both ways, each direction with its own end (FIN) and
 * its own credit, and one RESET that ends both. The owner sets the `on…` callbacks in the turn it gets the stream.
 */
import { NearportError } from './errors.ts'
import { encodeFrame, type Frame, type ResetCode, type ResumeFrame } from './frames.ts'
import type { MessageWriter, Source, Urgency } from './lane.ts'
import { LIMITS } from './limits.ts'
import { Outgoing } from './outgoing.ts'
import type { WindowBudget } from './window-budget.ts'

/** A frame that belongs to a stream both sides know. */
export type StreamFrame = Exclude<Frame, { type: 'OPEN' | 'SYNC' | 'RESUME' | 'PING' | 'ARRIVED' }>

/** What a stream needs of the mux it belongs to. */
export interface StreamOwner {
  readonly budget: WindowBudget
  /** The stream has frames to send; does nothing while there is no channel, as all are asked once there is one. */
  readyControl(stream: MuxStream, urgency: Urgency): void
  readyData(stream: MuxStream): void
  /** The stream has ended in both directions, or was reset, and the other side knows. */
  forget(stream: MuxStream): void
}

export class MuxStream implements Source {
  readonly id: number
  /** Bytes arrived: give them to the socket, and report with {@link taken} once it has them. Kept, they go into a ByteQueue. */
  ondata: (bytes: Uint8Array) => void = () => undefined
  /** The other side will send no more. */
  onend: () => void = () => undefined
  /** Both directions are over, by the other side or by the loss of the link; not called after our own reset(). */
  onreset: (reason: NearportError) => void = () => undefined
  /** The stream is over, in whichever way; the last call of all. */
  onclose: () => void = () => undefined
  /** The socket of the other side took so many bytes, in all, of what was written. */
  onacknowledged: (bytes: number) => void = () => undefined
  /** write() may go on after it returned false. */
  ondrain: () => void = () => undefined

  readonly #owner: StreamOwner
  #closed = false

  readonly #out: Outgoing
  #mustOpen: boolean
  #pausedWriter = false
  /** Kept until the other side has acknowledged it. */
  #resetFrame: Uint8Array | null = null
  #resetSent = false

  // Receiving.
  #received = 0
  #taken = 0
  #window: number = LIMITS.initialWindow
  #granted: number = LIMITS.initialWindow
  /** What the other side knows of `taken`. */
  #told = 0
  #finReceived = false
  #ackDue = false
  /** What the far side was told it may send up to, and has not come to yet. */
  readonly #limits: number[] = [LIMITS.initialWindow]
  /** The far side stood before a limit since the window was last looked at. */
  #pressed = false
  #windowMark = 0

  constructor(owner: StreamOwner, id: number, opener: boolean) {
    this.#owner = owner
    this.id = id
    this.#out = new Outgoing(id)
    this.#mustOpen = opener
    // Most programs send at once: what they send leaves with it.
    if (opener) owner.readyControl(this, 'next-turn')
  }

  /** Queues bytes, which must not be changed afterwards. False: enough is queued, go on after `ondrain`. */
  write(bytes: Uint8Array): boolean {
    if (this.#closed || bytes.length === 0) return true
    if (this.#out.ending) throw new NearportError('internal', 'write after end')
    this.#out.push(bytes)
    this.#owner.readyData(this)
    this.#pausedWriter = this.#out.queued >= LIMITS.streamQueue
    return !this.#pausedWriter
  }

  /** Ends our direction after what was written; the other goes on. */
  end(): void {
    if (this.#closed || this.#out.ending) return
    this.#out.end()
    this.#owner.readyData(this)
  }

  /** Ends both directions at once, and tells the other side why. */
  reset(code: ResetCode, text: string): void {
    if (this.#closed) return
    // The other side does not know a stream whose OPEN never left.
    if (!this.#mustOpen) {
      this.#resetFrame = encodeFrame({ type: 'RESET', stream: this.id, code, text })
      this.#owner.readyControl(this, 'now')
    }
    this.#close()
  }

  /** The socket took `bytes` more bytes of what `ondata` gave: the other side may send as many again. */
  taken(bytes: number): void {
    if (this.#closed) return
    this.#taken += bytes
    this.#growWindow()
    const isWorthTelling = this.#taken + this.#window - this.#granted >= this.#window / 4
    if (this.#finReceived ? this.#isLastDue : isWorthTelling)
      this.#owner.readyControl(this, this.#finReceived ? 'soon' : 'now')
  }

  // ── what the scheduler calls ────────────────────────────────────────────────────────────────────────────────

  writeControl(message: MessageWriter): void {
    if (this.#resetFrame !== null && !this.#resetSent) {
      message.append(this.#resetFrame)
      this.#resetSent = true
    }
    if (this.#closed) return
    if (this.#mustOpen) {
      message.append(encodeFrame({ type: 'OPEN', stream: this.id }))
      this.#mustOpen = false
    }
    if (this.#finReceived ? this.#isLastDue : this.#taken + this.#window > this.#granted) {
      message.append(encodeFrame({ type: 'CREDIT', stream: this.id, ...this.#grant() }))
    }
    if (this.#ackDue) {
      message.append(encodeFrame({ type: 'ACK', stream: this.id, of: 'FIN' }))
      this.#ackDue = false
      this.#closeIfDone()
    }
  }

  writeData(message: MessageWriter, limit: number): number {
    if (this.#closed) return 0
    const before = message.bytes
    this.#out.write(message, limit)
    if (this.#pausedWriter && this.#out.queued <= LIMITS.streamQueue / 2) {
      this.#pausedWriter = false
      this.ondrain()
    }
    return message.bytes - before
  }

  // ── what the mux calls ──────────────────────────────────────────────────────────────────────────────────────

  /** A frame of this stream arrived. Throws `frame-malformed` or `credit-overrun`: the other side is to be cut off. */
  receive(frame: StreamFrame): void {
    if (this.#closed) {
      // Both sides may reset at once, and neither then waits for the other.
      if (frame.type === 'RESET' || (frame.type === 'ACK' && frame.of === 'RESET')) this.#owner.forget(this)
      return
    }
    switch (frame.type) {
      case 'DATA':
        this.#receiveData(frame.offset, frame.payload)
        break
      case 'CREDIT':
        this.#receiveCredit(frame.taken, frame.window)
        if (this.#out.queued > 0) this.#owner.readyData(this)
        break
      case 'FIN':
        this.#receiveFin(frame.offset)
        break
      case 'RESET':
        this.fail(new NearportError(frame.code, frame.text))
        break
      case 'ACK':
        if (frame.of !== 'FIN') throw this.#malformed('acknowledged a reset that was not sent')
        this.#check(this.#out.ackFin())
        this.#closeIfDone()
    }
  }

  /** Ends both directions without a word to the other side: it said so itself, or cannot be reached. */
  fail(reason: NearportError): void {
    if (this.#closed) return
    this.onreset(reason)
    this.#close()
  }

  // ── when one channel takes the place of another ─────────────────────────────────────────────────────────────

  /** How far we got in what the other side sends. */
  resumeFrame(): ResumeFrame {
    const [received, fin, reset] = [this.#received, this.#finReceived, this.#resetFrame !== null]
    return { type: 'RESUME', stream: this.id, received, ...this.#grant(), fin, reset }
  }

  /** How far the other side got: all after that is sent again. Throws `frame-malformed`. */
  resume({ received, taken, window, fin, reset }: ResumeFrame): void {
    this.#resetSent = false
    if (this.#closed || reset) return
    if (taken > received) throw this.#malformed(`took ${taken} of ${received} bytes`)
    this.#receiveCredit(taken, window)
    this.#check(this.#out.rewind(received, fin))
    this.#closeIfDone()
  }

  /** The other side never heard of this stream: it is opened again. Throws `frame-malformed`. */
  reopen(): void {
    if (this.#closed) {
      this.#owner.forget(this)
      return
    }
    if (this.#received > 0) throw this.#malformed('forgot a stream it had answered on')
    this.#check(this.#out.rewind(0, false))
    this.#mustOpen = true
  }

  /** The other side knew this stream, and is done with it. */
  forgotten(): void {
    // It keeps a stream that it reset until we acknowledge that, so that what both sides ended has ended in order.
    if (this.#closed) this.#owner.forget(this)
    else if (this.#out.finSent && this.#finReceived) this.#close()
    else this.fail(new NearportError('peer-reset', 'the other side ended the connection while there was no path'))
  }

  /** After the FIN credit is of no more use: one last tells that the socket has all. */
  get #isLastDue(): boolean {
    return this.#taken === this.#received && this.#told < this.#taken
  }

  /** What CREDIT and RESUME say. */
  #grant(): { taken: number; window: number } {
    if (!this.#finReceived && this.#taken + this.#window > this.#granted) {
      this.#granted = this.#taken + this.#window
      this.#limits.push(this.#granted)
    }
    this.#told = this.#taken
    return { taken: this.#taken, window: this.#granted - this.#taken }
  }

  #receiveCredit(taken: number, window: number): void {
    this.#check(this.#out.credit(taken, window))
    this.onacknowledged(taken)
  }

  #receiveData(offset: number, payload: Uint8Array): void {
    if (this.#finReceived) throw this.#malformed('sent data after its FIN')
    if (offset !== this.#received) throw this.#malformed(`sent data at ${offset} where ${this.#received} was next`)
    const end = offset + payload.length
    if (end > this.#granted) {
      throw new NearportError('credit-overrun', `stream ${this.id}: ${end} bytes were sent, ${this.#granted} allowed`)
    }
    this.#received = end
    // Who has more to send than it may ends exactly there. On a long path that limit is an old one by now.
    while ((this.#limits[0] ?? Number.POSITIVE_INFINITY) < end) this.#limits.shift()
    if (this.#limits[0] === end) this.#pressed = true
    this.ondata(payload)
  }

  #receiveFin(offset: number): void {
    if (this.#finReceived) throw this.#malformed('sent a second FIN')
    if (offset !== this.#received) throw this.#malformed(`ended at ${offset} after ${this.#received} bytes`)
    this.#finReceived = true
    this.#ackDue = true
    this.#owner.readyControl(this, 'soon')
    this.onend()
  }

  /** Throws what is wrong, if anything is. */
  #check(wrong: string | null): void {
    if (wrong !== null) throw this.#malformed(wrong)
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
    if (this.#out.finAcked && this.#finReceived && !this.#ackDue) this.#close()
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#out.clear()
    this.#owner.budget.give(this.#window - LIMITS.initialWindow)
    // Until its RESET is acknowledged it counts: who opens streams and never reads cannot make us queue without end.
    if (this.#resetFrame === null) this.#owner.forget(this)
    this.onclose()
  }
}
