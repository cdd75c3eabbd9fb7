/**
 * The bytes of one stream in the direction that leaves: what waits, and what was sent and may have to be sent again.
 * Offsets count from the beginning of the direction; 0 ≤ acked ≤ sent ≤ limit.
 */
import { ByteQueue } from './byte-queue.ts'
import { DATA_OVERHEAD, encodeDataHeader, encodeFrame } from './frames.ts'
import type { MessageWriter } from './lane.ts'
import { LIMITS } from './limits.ts'

export class Outgoing {
  readonly #id: number
  /** From `acked` on. What was sent of it, and is kept, is at most what the credit allows. */
  readonly #queue = new ByteQueue()
  #acked = 0
  #sent = 0
  #limit: number = LIMITS.initialWindow
  #farTaken = 0
  #ending = false
  #fin: 'unsent' | 'sent' | 'acked' = 'unsent'

  /** `id`: of the stream. */
  constructor(id: number) {
    this.#id = id
  }

  /** bytes not yet sent */
  get queued(): number {
    return this.#queue.unread
  }

  /** No more is to be written. */
  get ending(): boolean {
    return this.#ending
  }

  get finSent(): boolean {
    return this.#fin !== 'unsent'
  }

  /** The other side has all of it, and knows that it is all. */
  get finAcked(): boolean {
    return this.#fin === 'acked'
  }

  /** Queues bytes, which must not be changed afterwards. */
  push(bytes: Uint8Array): void {
    this.#queue.push(bytes)
  }

  end(): void {
    this.#ending = true
  }

  /** Appends up to `limit` bytes of data, as far as the message has room and there is credit; then the FIN if due. */
  write(message: MessageWriter, limit: number): void {
    const bytes = Math.min(this.#queue.unread, this.#limit - this.#sent, limit, message.room - DATA_OVERHEAD)
    if (bytes > 0) {
      message.append(encodeDataHeader(this.#id, this.#sent, bytes))
      this.#sent += bytes
      this.#queue.read(bytes, (piece) => message.append(piece))
    }
    if (this.#ending && this.#fin === 'unsent' && this.#queue.unread === 0 && message.room >= DATA_OVERHEAD) {
      message.append(encodeFrame({ type: 'FIN', stream: this.#id, offset: this.#sent }))
      this.#fin = 'sent'
    }
  }

  /** The other side took `taken` bytes and has room for `window` more. Returns what is wrong with that, or null. */
  credit(taken: number, window: number): string | null {
    if (taken < this.#farTaken || taken > this.#sent) return `took ${taken} bytes of ${this.#sent}`
    if (window > LIMITS.maximumWindow || taken + window < this.#limit) return 'took credit back'
    this.#farTaken = taken
    this.#limit = taken + window
    this.#release(taken)
    return null
  }

  /** The other side has everything. Returns what is wrong with that, or null. */
  ackFin(): string | null {
    if (this.#fin === 'unsent') return 'acknowledged an end that was not sent'
    this.#fin = 'acked'
    this.#release(this.#sent)
    return null
  }

  /** All after the first `received` bytes is to be sent again. Returns what is wrong with that, or null. */
  rewind(received: number, fin: boolean): string | null {
    if (received < this.#acked || received > this.#sent) return `got ${received} of ${this.#sent} bytes`
    if (fin && !(this.#fin !== 'unsent' && received === this.#sent)) return 'got an end that was not sent'
    this.#release(received)
    this.#queue.rewind()
    this.#sent = received
    this.#fin = fin ? 'acked' : 'unsent'
    return null
  }

  clear(): void {
    this.#queue.clear()
  }

  /** The other side has all before `offset`. */
  #release(offset: number): void {
    if (offset <= this.#acked) return
    this.#queue.release(offset - this.#acked)
    this.#acked = offset
  }
}
