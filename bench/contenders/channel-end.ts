/** One end of a bare data channel, in a process of its own: what its parent orders over IPC, and what it is told. */
import { setTimeout as delay } from 'node:timers/promises'

/** How it writes: whole messages, whenever less than the high-water mark is buffered. */
export interface Writing {
  /** bytes */
  readonly message: number
  readonly highWater: number
}

export type Order =
  | { readonly signal: unknown }
  /** bytes; no order that follows is about them */
  | { readonly send: number }
  | { readonly expect: number }
  /** ms: counts what comes in so long, after so long */
  | { readonly rate: { readonly warm: number; readonly measured: number } }

export type News =
  | { readonly signal: unknown }
  | { readonly open: true }
  | { readonly done: true }
  /** bytes a second */
  | { readonly rate: number }

/** What it needs of an engine's channel. */
export interface Channel {
  readonly bufferedAmount: number
  send(bytes: Uint8Array): void
}

export const tell = (news: News): void => {
  process.send?.(news)
}

export class ChannelEnd {
  readonly #channel: Channel
  readonly #writing: Writing
  readonly #message: Uint8Array
  #left = 0
  /** bytes, of all orders; some may be there before the order is */
  #due = 0
  #received = 0

  constructor(channel: Channel, writing: Writing) {
    this.#channel = channel
    this.#writing = writing
    this.#message = new Uint8Array(writing.message)
  }

  order(order: Exclude<Order, { signal: unknown }>): void {
    if ('send' in order) {
      this.#left = order.send
      this.fill()
    } else if ('expect' in order) {
      this.#due += order.expect
      if (this.#received === this.#due) tell({ done: true })
    } else {
      this.#rate(order.rate)
    }
  }

  /** To be called when less is buffered, too. */
  fill(): void {
    for (
      ;
      this.#left > 0 && this.#channel.bufferedAmount < this.#writing.highWater;
      this.#left -= this.#message.length
    ) {
      this.#channel.send(this.#left < this.#message.length ? this.#message.subarray(0, this.#left) : this.#message)
    }
  }

  received(bytes: number): void {
    this.#received += bytes
    if (this.#received === this.#due) tell({ done: true })
  }

  async #rate({ warm, measured }: { readonly warm: number; readonly measured: number }): Promise<void> {
    await delay(warm)
    const [before, begun] = [this.#received, performance.now()]
    await delay(measured)
    tell({ rate: (this.#received - before) / ((performance.now() - begun) / 1000) })
  }
}

/** Ends with its parent. */
export function obey(signal: (signal: unknown) => void, end: ChannelEnd): void {
  process.on('message', (order: Order) => {
    if ('signal' in order) signal(order.signal)
    else end.order(order)
  })
  process.on('disconnect', () => process.exit())
}
