/** One job from its first byte to the end of the printer's answer. What a page knows of it is in its fields. */
import type { Connection } from '../browser/index.ts'
import { Answer } from './answer.ts'
import { type Problem, problem, problemOf } from './problem.ts'

/** What is printed: a File, or typed text as a Blob. It is read as it is sent, and once more for each repetition. */
export interface Source {
  /** null: typed text */
  readonly name: string | null
  readonly content: Pick<Blob, 'size' | 'stream'>
  /** characters that became "?" */
  readonly replaced: number
}

export type JobState =
  | 'waiting'
  | 'connecting'
  /** until the target has taken all of it */
  | 'sending'
  /** all is taken; the target has not ended its direction */
  | 'answering'
  | 'done'
  | 'cancelled'
  | 'failed'

export type Open = (options: { readonly signal: AbortSignal }) => Promise<Connection>

const OVER: readonly JobState[] = ['done', 'cancelled', 'failed']

export class Job {
  readonly id: number
  readonly source: Source
  state: JobState = 'waiting'
  /** bytes handed to the connection */
  sent = 0
  /** bytes the target has taken */
  acknowledged = 0
  /** ms since 1970 of the last change of `state` or `acknowledged` */
  movedAt: number
  readonly answer = new Answer()
  problem: Problem | null = null
  readonly #changed: () => void
  readonly #abort = new AbortController()
  #connection: Connection | null = null
  /** Whether the user ended it, and not the printer. */
  #ended = false
  /** Whether our direction is ended. */
  #allSent = false

  constructor(id: number, source: Source, changed: () => void) {
    this.id = id
    this.source = source
    this.#changed = changed
    this.movedAt = Date.now()
  }

  get total(): number {
    return this.source.content.size
  }

  get isOver(): boolean {
    return OVER.includes(this.state)
  }

  /** Resolves when the job is over, however it ended. */
  async run(open: Open): Promise<void> {
    if (this.isOver) return
    try {
      this.#become('connecting')
      const connection = await open({ signal: this.#abort.signal })
      this.#connection = connection
      if (this.#ended) connection.abort('cancelled')
      await this.#carry(connection)
      this.#become('done')
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#connection = null
    }
  }

  /** Gives the job up; before all is taken, the target's connection is reset. */
  cancel(): void {
    if (this.isOver || this.#ended) return
    const isTaken = this.state === 'answering'
    this.#ended = true
    this.#abort.abort()
    this.#connection?.abort(isTaken ? 'closed' : 'cancelled')
    this.#become(isTaken ? 'done' : 'cancelled')
  }

  async #carry(connection: Connection): Promise<void> {
    this.#become('sending')
    const unsubscribe = connection.acknowledged.subscribe((bytes) => {
      if (bytes === this.acknowledged) return
      this.acknowledged = bytes
      this.movedAt = Date.now()
      this.#progressed()
    })
    const giveUp = () => connection.abort()
    const [sent, answered] = [this.#send(connection), this.#read(connection)]
    sent.catch(giveUp)
    answered.catch(giveUp)
    const [sending, answering] = await Promise.allSettled([sent, answered])
    const reset = await connection.closed
    unsubscribe()
    // A file that cannot be read resets the connection: what is wrong is the file.
    if (sending.status === 'rejected') throw sending.reason
    if (answering.status === 'rejected') throw answering.reason
    if (reset !== null) throw reset
  }

  /** Ends with the end of our direction. */
  async #send({ writable }: Connection): Promise<void> {
    const counter = new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        this.sent += chunk.length
        controller.enqueue(chunk)
        this.#changed()
      },
    })
    await this.source.content.stream().pipeThrough(counter).pipeTo(writable, { signal: this.#abort.signal })
    this.#allSent = true
    this.#progressed()
  }

  async #read({ readable }: Connection): Promise<void> {
    const reader = readable.getReader()
    for (;;) {
      const { value } = await reader.read()
      if (value === undefined) return
      this.answer.add(value)
      this.#changed()
    }
  }

  #progressed(): void {
    if (this.#allSent && this.acknowledged >= this.total) this.#become('answering')
    else this.#changed()
  }

  #fail(error: unknown): void {
    if (this.#ended) return
    // Of all that takes part in a job, only a file fails with an error of the browser.
    this.problem = error instanceof DOMException ? problem('file-unreadable') : problemOf(error)
    this.#become('failed')
  }

  #become(state: JobState): void {
    if (this.isOver || this.state === state) return
    this.state = state
    this.movedAt = Date.now()
    this.#changed()
  }
}
