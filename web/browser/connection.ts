/** One stream of a share as the two WHATWG streams of a page. */
import { ByteQueue } from '../../shared/byte-queue.ts'
import { type Deferred, deferred } from '../../shared/deferred.ts'
import { NearportError } from '../../shared/errors.ts'
import type { MuxStream } from '../../shared/stream.ts'
import type { Connection } from './api.ts'
import { Copies } from './copies.ts'
import { LiveValue } from './live.ts'

export class StreamConnection implements Connection {
  readonly name: string
  readonly readable: ReadableStream<Uint8Array>
  readonly writable: WritableStream<Uint8Array>
  readonly acknowledged = new LiveValue(0)
  readonly closed: Promise<NearportError | null>

  readonly #stream: MuxStream
  readonly #ended = deferred<NearportError | null>()
  #reason: NearportError | null = null
  #over = false

  // Reading: what arrived and was not asked for yet; its bytes count against the credit of the other side.
  #reader: ReadableStreamDefaultController<Uint8Array> | null = null
  readonly #arrived = new ByteQueue()
  #asked: Deferred<void> | null = null
  #finished = false
  #readingDone = false

  // Writing.
  #writer: WritableStreamDefaultController | null = null
  /** Of all that the page wrote. */
  readonly #copies = new Copies()
  /** A write waits for room. */
  #room: Deferred<void> | null = null
  /** The close waits for the target to take the rest. */
  #rest: Deferred<void> | null = null

  /** In the turn the stream was opened. */
  constructor(name: string, stream: MuxStream) {
    this.name = name
    this.#stream = stream
    this.closed = this.#ended.promise
    stream.ondata = (bytes) => this.#receive(bytes)
    stream.onend = () => this.#finish()
    stream.onreset = (reason) => this.#fail(reason)
    stream.ondrain = () => this.#room?.resolve()
    stream.onacknowledged = (bytes) => this.#acknowledge(bytes)
    stream.onclose = () => this.#close()
    // A mark of 0: pull is called only for a reader that waits, so that what nobody reads gives no credit.
    this.readable = new ReadableStream(
      {
        start: (controller) => {
          this.#reader = controller
        },
        pull: () => this.#pull(),
        cancel: () => this.#cancel(),
      },
      { highWaterMark: 0 },
    )
    this.writable = new WritableStream({
      start: (controller) => {
        this.#writer = controller
        // Unlike the sink's abort() it does not wait for the write under way, which a stalled target may never end.
        controller.signal.addEventListener('abort', () => {
          // It is failing already, with the reason of the page.
          this.#writer = null
          this.abort(textOf(controller.signal.reason))
        })
      },
      write: (chunk) => this.#write(chunk),
      close: () => this.#end(),
    })
  }

  abort(reason = 'the page gave the connection up'): void {
    if (this.#over) return
    this.#fail(new NearportError('peer-reset', reason))
    this.#stream.reset('peer-reset', reason)
  }

  #receive(bytes: Uint8Array): void {
    if (this.#readingDone) {
      this.#stream.taken(bytes.length)
      return
    }
    // Even where the page waits for it: a page that keeps a small chunk must not keep its whole message.
    this.#arrived.push(bytes)
    if (this.#asked !== null) this.#deliver(this.#asked)
  }

  #deliver(asked: Deferred<void>): void {
    const bytes = this.#arrived.shiftPiece()
    if (bytes === undefined) return
    this.#asked = null
    this.#reader?.enqueue(bytes)
    this.#stream.taken(bytes.length)
    asked.resolve()
  }

  #pull(): Promise<void> {
    const asked = deferred<void>()
    this.#asked = asked
    this.#deliver(asked)
    if (this.#finished && this.#arrived.unread === 0) this.#endReadable()
    return asked.promise
  }

  #finish(): void {
    this.#finished = true
    if (this.#arrived.unread === 0) this.#endReadable()
  }

  #endReadable(): void {
    if (!this.#readingDone) this.#reader?.close()
    this.#readingDone = true
    this.#asked?.resolve()
  }

  /** TCP cannot say that only one direction is unwanted: what still comes is dropped, so that the target goes on. */
  #cancel(): void {
    this.#readingDone = true
    this.#stream.taken(this.#arrived.unread)
    this.#arrived.clear()
  }

  async #write(chunk: Uint8Array): Promise<void> {
    if (!(chunk instanceof Uint8Array)) {
      // The stream fails with this, and nothing else would tell the target that its job is not whole.
      this.abort('the page wrote what is no Uint8Array')
      throw new TypeError('a connection takes Uint8Arrays')
    }
    for (let at = 0; at < chunk.length; ) {
      // Copied, as it may have to be sent again, and the page may do with its bytes as it likes.
      const piece = this.#copies.of(chunk, at)
      at += piece.length
      if (this.#stream.write(piece)) continue
      this.#room = deferred()
      await this.#room.promise
      // The page may have given up in the turn in which there was room again.
      if (this.#reason !== null) throw this.#reason
    }
  }

  /** Resolves when the target has taken all: only then is a job out of the hands of the page. */
  async #end(): Promise<void> {
    this.#stream.end()
    if (this.#over || this.acknowledged.current === this.#copies.bytes) return
    this.#rest = deferred()
    await this.#rest.promise
  }

  #acknowledge(bytes: number): void {
    this.#copies.release(bytes)
    this.acknowledged.set(bytes)
    if (bytes === this.#copies.bytes) this.#rest?.resolve()
  }

  #fail(reason: NearportError): void {
    this.#reason = reason
    this.#arrived.clear()
    if (!this.#readingDone) this.#reader?.error(reason)
    this.#writer?.error(reason)
    this.#asked?.resolve()
    this.#room?.reject(reason)
    this.#rest?.reject(reason)
  }

  #close(): void {
    this.#over = true
    this.#rest?.resolve()
    this.#ended.resolve(this.#reason)
  }
}

const textOf = (reason: unknown): string | undefined =>
  reason instanceof Error ? reason.message : typeof reason === 'string' ? reason : undefined
