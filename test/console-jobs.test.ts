/** How the console prints, over connections that the test holds the far end of. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { deferred } from '../shared/deferred.ts'
import { NearportError } from '../shared/errors.ts'
import type { Connection } from '../web/browser/index.ts'
import { Job, type Source } from '../web/console/jobs.ts'
import { CONSOLE } from '../web/console/limits.ts'
import { JobQueue } from '../web/console/queue.ts'

/** A connection whose far end is the test: it takes bytes, answers, ends, and resets. */
class FarEnd {
  readonly got: number[] = []
  readonly connection: Connection
  isEnded = false
  reason: string | null = null
  readonly #listeners = new Set<(bytes: number) => void>()
  #acknowledged = 0
  #answer: ReadableStreamDefaultController<Uint8Array> | undefined
  #sending: WritableStreamDefaultController | undefined
  #close: (error: NearportError | null) => void = () => undefined
  #isOver = false
  #resume: (() => void) | null = null

  constructor(name = 'pc1') {
    const { promise, resolve } = deferred<NearportError | null>()
    this.#close = resolve
    const self = this
    this.connection = {
      name,
      closed: promise,
      readable: new ReadableStream({
        start: (controller) => {
          this.#answer = controller
        },
      }),
      writable: new WritableStream<Uint8Array>({
        start: (controller) => {
          this.#sending = controller
        },
        write: async (chunk) => {
          while (this.isStalled) await new Promise<void>((next) => (this.#resume = next))
          this.got.push(...chunk)
        },
        close: () => {
          this.isEnded = true
        },
        abort: () => this.connection.abort(),
      }),
      acknowledged: {
        get current() {
          return self.#acknowledged
        },
        subscribe: (listener) => {
          this.#listeners.add(listener)
          listener(this.#acknowledged)
          return () => this.#listeners.delete(listener)
        },
      },
      abort: (reason) => this.reset(new NearportError('peer-reset', reason ?? 'aborted'), reason ?? ''),
    }
  }

  isStalled = false

  acknowledge(bytes: number): void {
    this.#acknowledged = bytes
    for (const listener of this.#listeners) listener(bytes)
  }

  answer(text: string): void {
    this.#answer?.enqueue(Buffer.from(text))
  }

  end(): void {
    this.#answer?.close()
    this.#isOver = true
    this.#close(null)
  }

  reset(error: NearportError, reason: string | null = null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.reason = reason
    this.#answer?.error(error)
    this.#sending?.error(error)
    this.#close(error)
    this.isStalled = false
    this.#resume?.()
  }
}

const source = (text: string, name: string | null = 'a.txt'): Source => ({
  name,
  content: new Blob([text]),
  replaced: 0,
})

/** Resolves once the job (or the queue) is as wanted, looked at whenever it says that it changed. */
class Watch {
  readonly #waiting = new Set<() => void>()
  readonly changed = (): void => {
    for (const look of this.#waiting) look()
  }

  until(fits: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!fits()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      look()
    })
  }
}

describe('a job', () => {
  let far: FarEnd
  let watch: Watch

  beforeEach(() => {
    far = new FarEnd()
    watch = new Watch()
  })

  const begin = (content = source('hello')) => {
    const job = new Job(1, content, watch.changed)
    return { job, over: job.run(() => Promise.resolve(far.connection)) }
  }

  test('is sent, half-closed, taken, answered and done', async () => {
    const { job, over } = begin()
    await watch.until(() => job.sent === 5)
    expect(job.state).toBe('sending')
    far.acknowledge(3)
    expect(job.acknowledged).toBe(3)
    far.acknowledge(5)
    await watch.until(() => job.state === 'answering')
    expect(far.isEnded).toBe(true)
    expect(Buffer.from(far.got).toString()).toBe('hello')
    far.answer('ready')
    await watch.until(() => job.answer.total === 5)
    far.end()
    await over
    expect(job).toMatchObject({ state: 'done', problem: null })
    expect(job.answer.parts).toEqual([{ kind: 'text', text: 'ready' }])
  })

  test('of no bytes is a connection that begins and ends', async () => {
    const { job, over } = begin(source(''))
    await watch.until(() => job.state === 'answering')
    far.end()
    await over
    expect(job.state).toBe('done')
  })

  test('says why the printer did not take it', async () => {
    const { job, over } = begin()
    far.reset(new NearportError('target-refused', 'connect ECONNREFUSED'))
    await over
    expect(job).toMatchObject({ state: 'failed', problem: { code: 'target-refused' } })
  })

  test('that is reset after all was taken is not done', async () => {
    const { job, over } = begin()
    far.acknowledge(5)
    await watch.until(() => job.state === 'answering')
    far.reset(new NearportError('peer-reset', 'ECONNRESET'))
    await over
    expect(job).toMatchObject({ state: 'failed', problem: { code: 'peer-reset' } })
  })

  test('that finds nobody says so', async () => {
    const job = new Job(1, source('x'), watch.changed)
    await job.run(() => Promise.reject(new NearportError('name-offline', 'pc1 is not served now')))
    expect(job).toMatchObject({ state: 'failed', problem: { code: 'name-offline' } })
  })

  test('that is cancelled resets the connection', async () => {
    far.isStalled = true
    const { job, over } = begin()
    await watch.until(() => job.state === 'sending')
    job.cancel()
    await over
    expect(job).toMatchObject({ state: 'cancelled', problem: null })
    expect(far.reason).not.toBeNull()
  })

  test('that is cancelled before it has a connection resets the one that comes', async () => {
    const { promise, resolve } = deferred<Connection>()
    const job = new Job(1, source('x'), watch.changed)
    const over = job.run(() => promise)
    job.cancel()
    resolve(far.connection)
    await over
    expect(job.state).toBe('cancelled')
    expect(far.reason).toBe('cancelled')
    expect(far.got).toEqual([])
  })

  test('that is closed once all is taken is done', async () => {
    const { job, over } = begin()
    far.acknowledge(5)
    await watch.until(() => job.state === 'answering')
    job.cancel()
    await over
    expect(job.state).toBe('done')
    expect(far.reason).toBe('closed')
  })

  test('resets the connection when its file cannot be read, and says that it is the file', async () => {
    const broken = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => controller.enqueue(new Uint8Array(3)),
      pull: (controller) => controller.error(new DOMException('gone', 'NotReadableError')),
    })
    const { job, over } = begin({ name: 'a', content: { size: 10, stream: () => broken }, replaced: 0 })
    await over
    expect(job).toMatchObject({ state: 'failed', problem: { code: 'file-unreadable' } })
    expect(far.reason).not.toBeNull()
  })

  test('reads no further than a stalled printer takes', async () => {
    let read = 0
    const endless = new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        pull: (controller) => {
          read++
          controller.enqueue(new Uint8Array(1000))
        },
      },
      { highWaterMark: 0 },
    )
    far.isStalled = true
    const { job, over } = begin({ name: 'a', content: { size: 1e9, stream: () => endless }, replaced: 0 })
    await watch.until(() => job.sent > 0)
    // Whatever goes on without the printer has gone on once all that waits for no outside event is done.
    await new Promise((resolve) => setImmediate(resolve))
    expect(read).toBeLessThan(8)
    job.cancel()
    await over
  })
})

describe('the jobs of a tile', () => {
  const ends: FarEnd[] = []
  const watch = new Watch()
  let queue: JobQueue

  beforeEach(() => {
    ends.length = 0
    queue = new JobQueue(async () => {
      const far = new FarEnd()
      ends.push(far)
      return far.connection
    }, watch.changed)
  })

  afterEach(() => {
    jest.useRealTimers()
    for (const job of queue.jobs) job.cancel()
  })

  const finish = async (job: Job, at: number) => {
    await watch.until(() => job.state === 'sending' && job.sent === job.total)
    ends[at]?.acknowledge(job.total)
    await watch.until(() => job.state === 'answering')
    ends[at]?.end()
    await watch.until(() => job.state === 'done')
  }

  test('are printed in order, one connection at a time', async () => {
    const [one, two] = [queue.add(source('1')), queue.add(source('22'))]
    await watch.until(() => one.sent === 1)
    expect([two.state, ends.length, queue.pending]).toEqual(['waiting', 1, 2])
    await finish(one, 0)
    await finish(two, 1)
    expect(ends.map(({ got }) => Buffer.from(got).toString())).toEqual(['1', '22'])
    expect(queue.pending).toBe(0)
  })

  test('one that waits can be cancelled, and is never sent', async () => {
    const [one, two, three] = [queue.add(source('1')), queue.add(source('2')), queue.add(source('3'))]
    two.cancel()
    await finish(one, 0)
    await finish(three, 1)
    expect(two.state).toBe('cancelled')
    expect(ends.map(({ got }) => Buffer.from(got).toString())).toEqual(['1', '3'])
  })

  test('one that fails does not keep the next', async () => {
    const [one, two] = [queue.add(source('1')), queue.add(source('2'))]
    await watch.until(() => one.state === 'sending')
    ends[0]?.reset(new NearportError('target-timeout', 'no answer'))
    await finish(two, 1)
    expect(one.state).toBe('failed')
  })

  test('leave the list when many are over, the oldest first; one under way never does', async () => {
    const jobs = Array.from({ length: CONSOLE.jobsKept + 2 }, (_, at) => queue.add(source(String(at))))
    for (const [at, job] of jobs.entries()) if (at < jobs.length - 1) await finish(job, at)
    const last = jobs.at(-1)
    await watch.until(() => last?.state === 'sending')
    expect(queue.jobs).toEqual(jobs.slice(1))
    if (last !== undefined) queue.remove(last)
    expect(queue.jobs).toHaveLength(CONSOLE.jobsKept + 1)
  })
})
