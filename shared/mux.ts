/**
 * The mux of one share between two peer processes: it turns messages into frames of streams. The access side opens
 * streams, the share side accepts them. It knows nothing of links or sockets. It outlives its channel: when it is
 * given another one, both sides first say how far each stream got, and what was lost on the way is sent again.
 */
import { concat } from './bytes.ts'
import { deferred } from './deferred.ts'
import { NearportError } from './errors.ts'
import { decodeFrames, encodeFrame, type Frame, type ResetCode, type ResumeFrame } from './frames.ts'
import type { Lane, MessageWriter, Source, Urgency } from './lane.ts'
import { LIMITS } from './limits.ts'
import { MuxStream, type StreamFrame, type StreamOwner } from './stream.ts'
import type { WindowBudget } from './window-budget.ts'

/** The streams of one tunnel, over all its shares, to hold them to LIMITS.streamsPerTunnel. */
export class StreamCount {
  now = 0
}

/** Stream numbers are u32, and never used twice. */
const LAST_STREAM = 0xffff_ffff

export class Mux implements StreamOwner {
  /** Resolves when the mux is closed, with the reason. */
  readonly closed: Promise<NearportError>
  readonly budget: WindowBudget
  readonly #count: StreamCount
  readonly #streams = new Map<number, MuxStream>()
  readonly #accept: ((stream: MuxStream) => void) | null
  readonly #ended = deferred<NearportError>()
  #lane: Lane | null = null
  /** The channel takes the place of another: both sides begin with how far they got. */
  #resumes = false
  /** The other side has the channel too, and may be sent to. */
  #started = false
  /** The other side said how far it got, or need not. */
  #synced = false
  /** Streams whose RESET is to be acknowledged. */
  readonly #acks = new Set<number>()
  /** Refusals that have not left yet. */
  #refused = 0
  #lastId = 0
  #closed: NearportError | null = null

  /** `accept` is called with each stream the other side opens, and must set its callbacks; null on the access side. */
  constructor(
    shared: { readonly budget: WindowBudget; readonly count: StreamCount },
    accept: ((stream: MuxStream) => void) | null,
  ) {
    this.closed = this.#ended.promise
    this.budget = shared.budget
    this.#count = shared.count
    this.#accept = accept
  }

  get isClosed(): boolean {
    return this.#closed !== null
  }

  /** Opens a stream; bytes may be written at once. Throws `too-many-streams`, or what the mux was closed with. */
  open(): MuxStream {
    if (this.#closed !== null) throw this.#closed
    if (this.#count.now >= LIMITS.streamsPerTunnel) {
      throw new NearportError('too-many-streams', `${LIMITS.streamsPerTunnel} connections are open to this peer`)
    }
    if (this.#lastId === LAST_STREAM) {
      this.close(new NearportError('link-lost', 'this channel has used up its stream numbers'))
      throw new NearportError('link-lost', 'this channel has used up its stream numbers')
    }
    return this.#add(++this.#lastId, true)
  }

  /** A channel is made, and may deliver from now on. `resumes`: it takes the place of another. */
  attach(lane: Lane, resumes: boolean): void {
    this.detach()
    if (this.#closed !== null) {
      lane.close()
      return
    }
    this.#lane = lane
    this.#resumes = resumes
    this.#synced = !resumes
  }

  /** The other side has the channel as well: sending begins. */
  start(): void {
    if (this.#lane === null || this.#started) return
    this.#started = true
    if (this.#resumes) this.#lane.send(this.#encodeSync())
    this.#wake()
  }

  /** The channel is lost. What there is waits for another. */
  detach(): void {
    this.#lane?.close()
    this.#lane = null
    this.#started = false
    this.#acks.clear()
    this.#refused = 0
  }

  /** A message arrived. Throws `frame-malformed` or `credit-overrun`: the other side is to be cut off. */
  receive(message: Uint8Array): void {
    if (message.length > LIMITS.messageBytes) {
      throw new NearportError('frame-malformed', `the other side sent a message of ${message.length} bytes`)
    }
    this.#lane?.received(message.length)
    if (!this.#synced) {
      this.#receiveSync(message)
      return
    }
    for (const frame of decodeFrames(message)) {
      if (this.#closed !== null) return
      if (frame.type === 'OPEN') this.#receiveOpen(frame.stream)
      else if (frame.type === 'PING') this.#lane?.answer()
      else if (frame.type === 'ARRIVED') this.#receiveArrived(frame.bytes)
      else if (frame.type === 'SYNC' || frame.type === 'RESUME') throw malformed(`a ${frame.type} out of its place`)
      else this.#receiveOther(frame)
    }
  }

  /** Every stream is reset, with this reason. */
  close(reason: NearportError): void {
    if (this.#closed !== null) return
    this.#closed = reason
    this.detach()
    for (const stream of [...this.#streams.values()]) stream.fail(reason)
    this.#count.now -= this.#streams.size
    this.#streams.clear()
    this.#ended.resolve(reason)
  }

  readyControl(source: Source, urgency: Urgency): void {
    if (this.#started && this.#synced) this.#lane?.readyControl(source, urgency)
  }

  readyData(source: Source): void {
    if (this.#started && this.#synced) this.#lane?.readyData(source)
  }

  forget(stream: MuxStream): void {
    if (this.#streams.delete(stream.id)) this.#count.now--
  }

  /** What waited for a channel may go. */
  #wake(): void {
    for (const stream of this.#streams.values()) {
      this.readyControl(stream, 'now')
      this.readyData(stream)
    }
  }

  #add(id: number, opener: boolean): MuxStream {
    const stream = new MuxStream(this, id, opener)
    this.#streams.set(id, stream)
    this.#count.now++
    return stream
  }

  /** One message: SYNC, then the RESUME of each stream; all of them fit, see LIMITS.streamsPerTunnel. */
  #encodeSync(): Uint8Array {
    const streams = [...this.#streams.values()].map((stream) => encodeFrame(stream.resumeFrame()))
    return concat([encodeFrame({ type: 'SYNC', stream: 0, last: this.#lastId, streams: streams.length }), ...streams])
  }

  #receiveSync(message: Uint8Array): void {
    const [sync, ...rest] = decodeFrames(message)
    if (sync?.type !== 'SYNC' || rest.length !== sync.streams) throw malformed('no SYNC where one was due')
    const unheard = new Set(this.#streams.values())
    for (const frame of rest) {
      if (frame.type !== 'RESUME') throw malformed(`a ${frame.type} where a RESUME was due`)
      const stream = this.#resumed(frame)
      if (stream !== undefined && !unheard.delete(stream)) throw malformed(`two RESUMEs of stream ${frame.stream}`)
    }
    for (const stream of unheard) {
      if (this.#accept === null && stream.id > sync.last) stream.reopen()
      else stream.forgotten()
    }
    this.#synced = true
    this.#wake()
  }

  #resumed(frame: ResumeFrame): MuxStream | undefined {
    if (this.#accept === null && frame.stream > this.#lastId) throw malformed(`a RESUME of stream ${frame.stream}`)
    const stream = this.#streams.get(frame.stream)
    stream?.resume(frame)
    return stream
  }

  #receiveOpen(id: number): void {
    if (this.#accept === null) throw malformed('an OPEN from the share side')
    if (id <= this.#lastId) throw malformed(`a second OPEN of stream ${id}`)
    this.#lastId = id
    if (this.#count.now >= LIMITS.streamsPerTunnel) {
      this.#refuse(id, 'too-many-streams', `${LIMITS.streamsPerTunnel} connections are open to this peer`)
      return
    }
    this.#accept(this.#add(id, false))
  }

  #receiveArrived(bytes: number): void {
    const wrong = this.#lane?.arrived(bytes) ?? null
    if (wrong !== null) throw malformed(`says it ${wrong}`)
  }

  #receiveOther(frame: StreamFrame): void {
    // What was on its way when a stream ended is dropped; a stream that never was is a fault.
    if (frame.stream > this.#lastId) throw malformed(`a ${frame.type} for stream ${frame.stream}, which is not open`)
    this.#streams.get(frame.stream)?.receive(frame)
    if (frame.type === 'RESET') this.#acknowledge(frame.stream)
  }

  #acknowledge(id: number): void {
    this.#acks.add(id)
    if (this.#acks.size > 2 * LIMITS.streamsPerTunnel) {
      throw malformed('resets, and does not read that they have arrived')
    }
    this.#send({ type: 'ACK', stream: id, of: 'RESET' }, 'soon', () => this.#acks.delete(id))
  }

  /** Answers OPEN with RESET for a stream that is not kept. */
  #refuse(id: number, code: ResetCode, text: string): void {
    if (this.#refused >= LIMITS.streamsPerTunnel) throw malformed('OPENs, and does not read the answers')
    this.#refused++
    this.#send({ type: 'RESET', stream: id, code, text }, 'now', () => this.#refused--)
  }

  /** Sends a frame that belongs to no stream that is kept. */
  #send(frame: Frame, urgency: Urgency, sent: () => void): void {
    const source: Source = {
      writeControl: (message: MessageWriter) => {
        message.append(encodeFrame(frame))
        sent()
      },
      writeData: () => 0,
    }
    this.readyControl(source, urgency)
  }
}

const malformed = (what: string) => new NearportError('frame-malformed', `the other side sent ${what}`)
