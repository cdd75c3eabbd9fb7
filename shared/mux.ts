/**
 * The mux of one share between two peers: it turns messages into frames of streams. The access side opens streams,
 * the share side accepts them. It knows nothing of links or sockets, and outlives neither here; resume is to give it
 * another lane.
 */
import { deferred } from './deferred.ts'
import { NearportError } from './errors.ts'
import { decodeFrames, encodeFrame, type Frame, type ResetCode } from './frames.ts'
import { LIMITS } from './limits.ts'
import type { Lane, MessageWriter, Source } from './scheduler.ts'
import { MuxStream, type StreamOwner, type WindowBudget } from './stream.ts'

/** The streams of one link, over all its shares, to hold them to LIMITS.streamsPerLink. */
export class StreamCount {
  now = 0
}

/** Stream numbers are u32, and never used twice. */
const LAST_STREAM = 0xffff_ffff

export class Mux implements StreamOwner {
  /** Resolves when the mux is closed, with the reason. */
  readonly closed: Promise<NearportError>
  readonly lane: Lane
  readonly budget: WindowBudget
  readonly #count: StreamCount
  readonly #streams = new Map<number, MuxStream>()
  readonly #accept: ((stream: MuxStream) => void) | null
  readonly #ended = deferred<NearportError>()
  /** Refusals that have not left yet. */
  #refused = 0
  #lastId = 0
  #closed: NearportError | null = null

  /** `accept` is called with each stream the other side opens, and must set its callbacks; null on the access side. */
  constructor(
    lane: Lane,
    shared: { budget: WindowBudget; count: StreamCount },
    accept: ((stream: MuxStream) => void) | null,
  ) {
    this.closed = this.#ended.promise
    this.lane = lane
    this.budget = shared.budget
    this.#count = shared.count
    this.#accept = accept
  }

  /** Opens a stream; bytes may be written at once. Throws `too-many-streams`, or what the mux was closed with. */
  open(): MuxStream {
    if (this.#closed !== null) throw this.#closed
    if (this.#count.now >= LIMITS.streamsPerLink) {
      throw new NearportError('too-many-streams', `${LIMITS.streamsPerLink} connections are open on this link`)
    }
    if (this.#lastId === LAST_STREAM) {
      this.close(new NearportError('link-lost', 'this channel has used up its stream numbers'))
      throw new NearportError('link-lost', 'this channel has used up its stream numbers')
    }
    return this.#add(++this.#lastId, true)
  }

  /** A message arrived. Throws `frame-malformed` or `credit-overrun`: the other side is to be cut off. */
  receive(message: Uint8Array): void {
    if (message.length > LIMITS.messageBytes) {
      throw new NearportError('frame-malformed', `the other side sent a message of ${message.length} bytes`)
    }
    for (const frame of decodeFrames(message)) {
      if (this.#closed !== null) return
      if (frame.type === 'OPEN') this.#receiveOpen(frame.stream)
      else this.#receiveOther(frame)
    }
  }

  /** The channel is gone: every stream is reset, with this reason. */
  close(reason: NearportError): void {
    if (this.#closed !== null) return
    this.#closed = reason
    this.lane.close()
    for (const stream of [...this.#streams.values()]) stream.fail(reason)
    this.#count.now -= this.#streams.size
    this.#streams.clear()
    this.#ended.resolve(reason)
  }

  forget(stream: MuxStream): void {
    if (this.#streams.delete(stream.id)) this.#count.now--
  }

  #add(id: number, opener: boolean): MuxStream {
    const stream = new MuxStream(this, id, opener)
    this.#streams.set(id, stream)
    this.#count.now++
    return stream
  }

  #receiveOpen(id: number): void {
    if (this.#accept === null) throw new NearportError('frame-malformed', 'the share side opened a stream')
    if (id <= this.#lastId) throw new NearportError('frame-malformed', `stream ${id} was opened twice`)
    this.#lastId = id
    if (this.#count.now >= LIMITS.streamsPerLink) {
      this.#refuse(id, 'too-many-streams', `${LIMITS.streamsPerLink} connections are open on this link`)
      return
    }
    this.#accept(this.#add(id, false))
  }

  #receiveOther(frame: Exclude<Frame, { type: 'OPEN' }>): void {
    const stream = this.#streams.get(frame.stream)
    if (stream !== undefined) {
      stream.receive(frame)
    } else if (frame.stream > this.#lastId) {
      // What was on its way when a stream ended is dropped; a stream that never was is a fault.
      throw new NearportError('frame-malformed', `a ${frame.type} came for stream ${frame.stream}, which is not open`)
    }
  }

  /** Answers OPEN with RESET for a stream that is not kept. */
  #refuse(id: number, code: ResetCode, text: string): void {
    if (this.#refused >= LIMITS.streamsPerLink) {
      throw new NearportError('frame-malformed', 'the other side opens streams and does not read the answers')
    }
    this.#refused++
    const frame = encodeFrame({ type: 'RESET', stream: id, code, text })
    const once: Source = {
      writeControl: (message: MessageWriter) => {
        message.append(frame)
        this.#refused--
      },
      writeData: () => 0,
    }
    this.lane.readyControl(once)
  }
}
