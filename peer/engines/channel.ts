import { fire, type Handler } from './events.ts'

/** What a channel needs of its engine. Each call may throw. */
export interface RawChannel {
  readonly bufferedAmount: number
  /** Keeps the bytes until they are sent: they are not to be changed. */
  send(bytes: Uint8Array): void
  setLowThreshold(bytes: number): void
  close(): void
}

class ChannelErrorEvent extends Event {
  readonly error: Error

  constructor(error: Error) {
    super('error')
    this.error = error
  }
}

/**
 * What the link and simple-peer use of a W3C data channel, the same over both engines, with three differences:
 * `send` on a channel that is closing or closed drops the bytes, as the other side may close it at any moment; it
 * never throws for what the other side did, but fails the channel; and it sends no empty message, since werift would
 * count one that it never sends and stall the channel for good.
 */
export class DataChannel extends EventTarget {
  readonly label: string
  readonly id: number
  readonly negotiated = true
  readonly ordered = true
  binaryType: BinaryType = 'arraybuffer'
  onopen: Handler<Event> = null
  onmessage: Handler<MessageEvent> = null
  onbufferedamountlow: Handler<Event> = null
  onerror: Handler<ChannelErrorEvent> = null
  onclose: Handler<Event> = null

  readonly #raw: RawChannel
  #state: RTCDataChannelState = 'connecting'
  #lowThreshold = 0

  constructor(label: string, id: number, raw: RawChannel) {
    super()
    this.label = label
    this.id = id
    this.#raw = raw
  }

  get readyState(): RTCDataChannelState {
    return this.#state
  }

  get bufferedAmount(): number {
    return this.#raw.bufferedAmount
  }

  get bufferedAmountLowThreshold(): number {
    return this.#lowThreshold
  }

  set bufferedAmountLowThreshold(bytes: number) {
    this.#lowThreshold = bytes
    // native throws on a channel that close was called on.
    if (this.#state === 'connecting' || this.#state === 'open') this.#raw.setLowThreshold(bytes)
  }

  send(bytes: Uint8Array): void {
    if (this.#state === 'connecting') throw new DOMException('the channel is not open yet', 'InvalidStateError')
    if (this.#state !== 'open' || bytes.byteLength === 0) return
    try {
      this.#raw.send(bytes)
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
    }
  }

  close(): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.#state = 'closing'
    this.#raw.close()
  }

  /** For the engine: the channel opened. */
  opened(): void {
    if (this.#state !== 'connecting') return
    this.#state = 'open'
    fire(this, new Event('open'), this.onopen)
  }

  /** For the engine: a message came. */
  received(data: Uint8Array | string): void {
    // native tells of a message and of the opening on two queues, in either order.
    this.opened()
    if (this.#state !== 'open') return
    fire(this, new MessageEvent('message', { data }), this.onmessage)
  }

  /** For the engine: what is buffered fell to the threshold. */
  low(): void {
    if (this.#state === 'open') fire(this, new Event('bufferedamountlow'), this.onbufferedamountlow)
  }

  /** For the engine: the channel closed, whoever closed it. */
  closed(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    fire(this, new Event('close'), this.onclose)
  }

  #fail(error: Error): void {
    // Not before send returned: a handler must not find its caller half done.
    queueMicrotask(() => {
      if (this.#state !== 'open') return
      fire(this, new ChannelErrorEvent(error), this.onerror)
      this.close()
    })
  }
}
