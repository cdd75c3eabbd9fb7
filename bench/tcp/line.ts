/**
 * A TCP connection to a {@link Target}, over which one job after another is done. A job is 16 bytes, the number of
 * bytes that go up and that come down, then the bytes that go up; what comes back is the bytes that come down, and one
 * more once all have come up.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export const HEADER_BYTES = 16
/** `up` of a job that is to be stalled: the target reads nothing more. */
export const STALL = 2n ** 64n - 1n

export interface Job {
  /** bytes */
  readonly up: number
  readonly down: number
}

/** ms since the job was begun */
export interface Timing {
  readonly firstByte: number
  readonly total: number
}

const CHUNK = Buffer.alloc(256 * 1024)

export function header(up: number | bigint, down: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  bytes.writeBigUInt64BE(BigInt(up))
  bytes.writeBigUInt64BE(BigInt(down), 8)
  return bytes
}

export class Line {
  /** bytes received, of all jobs */
  received = 0
  readonly #socket: Socket
  readonly #connected: Promise<unknown>
  /** Settles the job under way. */
  #job: { left: number; begun: number; firstByte: number; done: (timing: Timing) => void } | null = null
  #failed: ((error: Error) => void) | null = null

  private constructor(port: number, host: string, bufferBytes: number) {
    // Read into one buffer: what the bench itself costs is the same for everyone, and should be little.
    const onread = { buffer: Buffer.alloc(bufferBytes), callback: (count: number) => this.#take(count) }
    this.#socket = connect({ port, host, onread, allowHalfOpen: true, noDelay: true })
    this.#connected = once(this.#socket, 'connect')
    this.#socket.on('error', (error) => this.#fail(error))
    this.#socket.on('close', () => this.#fail(new Error('the connection was closed during a job')))
  }

  static async open(port: number, host = '127.0.0.1', bufferBytes = 256 * 1024): Promise<Line> {
    const line = new Line(port, host, bufferBytes)
    await line.#connected
    return line
  }

  /** A whole connection for one job: from the call of connect() to the last byte back. */
  static async once(port: number, job: Job, host = '127.0.0.1'): Promise<Timing> {
    const begun = performance.now()
    const line = new Line(port, host, 4096)
    // What is written before the connection is up goes out with it, as a till would.
    const [timing] = await Promise.all([line.run(job, begun), line.#connected])
    await line.close()
    return timing
  }

  /** Rejects when the connection ends before the job does. */
  run({ up, down }: Job, begun = performance.now()): Promise<Timing> {
    return new Promise((resolve, reject) => {
      this.#job = { left: down + 1, begun, firstByte: Number.NaN, done: resolve }
      this.#failed = reject
      this.#socket.write(header(up, down))
      this.#send(up)
    })
  }

  /** Begins a job that the target never reads, and writes so many bytes as long as they are taken. */
  stall(bytes: number): void {
    this.#failed = () => undefined
    this.#socket.write(header(STALL, 0))
    this.#send(bytes)
  }

  /** Ends our direction, and resolves when the connection is gone. */
  async close(): Promise<void> {
    this.#failed = null
    if (this.#socket.destroyed) return
    const closed = once(this.#socket, 'close')
    this.#socket.end()
    await closed
  }

  destroy(): void {
    this.#failed = null
    this.#socket.destroy()
  }

  #send(bytes: number): void {
    const socket = this.#socket
    let left = bytes
    const fill = () => {
      for (let more = true; more && left > 0; ) {
        const size = Math.min(left, CHUNK.length)
        left -= size
        more = socket.write(size === CHUNK.length ? CHUNK : CHUNK.subarray(0, size))
      }
      if (left > 0) socket.once('drain', fill)
    }
    fill()
  }

  #take(count: number): boolean {
    this.received += count
    const job = this.#job
    if (job === null) return true
    if (Number.isNaN(job.firstByte)) job.firstByte = performance.now() - job.begun
    job.left -= count
    if (job.left > 0) return true
    this.#job = null
    this.#failed = null
    job.done({ firstByte: job.firstByte, total: performance.now() - job.begun })
    return true
  }

  #fail(error: Error): void {
    this.#job = null
    this.#failed?.(error)
    this.#failed = null
  }
}
