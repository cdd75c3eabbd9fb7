/** Two muxes joined by carriers in memory; messages move by themselves, or one at a time (`manual`). */
import type { Carrier } from '../../shared/lane.ts'
import { Mux, StreamCount } from '../../shared/mux.ts'
import { Scheduler } from '../../shared/scheduler.ts'
import type { MuxStream } from '../../shared/stream.ts'
import { WindowBudget } from '../../shared/window-budget.ts'

export class MemoryCarrier implements Carrier {
  onlow: (() => void) | null = null
  readonly copies: boolean
  drainWhenArmed = false
  sentBytes = 0
  readonly queue: Uint8Array[] = []
  #threshold = 0
  #buffered = 0

  /** `copies`: as an engine that does; its messages must not be overwritten in the queue. */
  constructor(copies = false) {
    this.copies = copies
  }

  get bufferedAmount(): number {
    return this.#buffered
  }

  get bufferedAmountLowThreshold(): number {
    return this.#threshold
  }

  set bufferedAmountLowThreshold(bytes: number) {
    // What a threaded engine may do: it drains between the reading of the amount and the setting of the threshold.
    if (this.drainWhenArmed) {
      this.queue.length = 0
      this.#buffered = 0
    }
    this.#threshold = bytes
  }

  send(message: Uint8Array): void {
    this.queue.push(this.copies ? message.slice() : message)
    this.#buffered += message.length
    this.sentBytes += message.length
  }

  shift(): Uint8Array | undefined {
    const message = this.queue.shift()
    if (message !== undefined) this.drained(message)
    return message
  }

  /** This message, which is out of the queue, is no longer buffered. */
  drained(message: Uint8Array): void {
    const before = this.#buffered
    this.#buffered -= message.length
    if (before > this.#threshold && this.#buffered <= this.#threshold) this.onlow?.()
  }
}

export function sink(stream: MuxStream, autoTake = true) {
  const chunks: Buffer[] = []
  let waiting = 0
  const state = {
    ended: false,
    reset: null as Error | null,
    get length() {
      return chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    },
    bytes: () => Buffer.concat(chunks),
    text: () => Buffer.concat(chunks).toString(),
    takeSome: () => {
      stream.taken(Math.ceil(waiting / 2))
      waiting -= Math.ceil(waiting / 2)
    },
  }
  stream.ondata = (bytes) => {
    chunks.push(Buffer.from(bytes))
    if (autoTake) stream.taken(bytes.length)
    else waiting += bytes.length
  }
  stream.onend = () => {
    state.ended = true
  }
  stream.onreset = (reason) => {
    state.reset = reason
  }
  return state
}

export type Accepted = MuxStream & { sink: ReturnType<typeof sink> }

interface Options {
  manual?: boolean
  highWater?: number
  autoTake?: (index: number) => boolean
  /** up and down */
  carriers?: readonly [MemoryCarrier, MemoryCarrier]
  /** See Carrier. */
  copies?: boolean
}

/** One whose time is that of {@link turns}. */
export const memoryScheduler = (highWater: number): Scheduler =>
  new Scheduler(highWater, queueMicrotask, queueMicrotask)

/** Until each scheduler has sent what may go. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await Promise.resolve()
}

export function muxPair(options: Options = {}) {
  const { manual = false, highWater = 256 * 1024, autoTake = () => true, copies = false } = options
  const [up, down] = options.carriers ?? [new MemoryCarrier(copies), new MemoryCarrier(copies)]
  const accepted: Accepted[] = []
  const shared = () => ({ budget: new WindowBudget(), count: new StreamCount() })
  const accept = (stream: MuxStream) => {
    accepted.push(Object.assign(stream, { sink: sink(stream, autoTake(accepted.length)) }))
  }
  const access = new Mux(shared(), null)
  const share = new Mux(shared(), accept)
  access.attach(memoryScheduler(highWater).addLane(up), false)
  share.attach(memoryScheduler(highWater).addLane(down), false)
  for (const mux of [access, share]) mux.start()

  /** Moves one message a way. False when nothing was left to move. */
  const deliverOne = async () => {
    await turns()
    const [a, b] = [up.shift(), down.shift()]
    if (a !== undefined) share.receive(a)
    if (b !== undefined) access.receive(b)
    await turns()
    return a !== undefined || b !== undefined
  }
  if (!manual) movers.push(deliverOne)
  return { access, share, accepted, deliverOne }
}

/** The pairs of the current test that move by themselves. */
const movers: (() => Promise<boolean>)[] = []
beforeEach(() => {
  movers.length = 0
})

/** Until nothing moves in any pair that moves by itself. */
export async function settle(): Promise<void> {
  for (let moved = true; moved; ) {
    moved = false
    await turns()
    for (const move of movers) moved = (await move()) || moved
  }
}
