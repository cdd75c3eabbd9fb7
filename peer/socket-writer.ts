/** Writes to a socket what comes faster than the kernel takes it, and keeps it meanwhile in little more memory than it has bytes. */
import type { Socket } from 'node:net'
import { ByteQueue } from '../shared/byte-queue.ts'

export class SocketWriter {
  readonly #socket: Socket
  readonly #ontaken: (bytes: number) => void
  readonly #waiting = new ByteQueue()
  /** The socket has bytes that the kernel has not taken. */
  #writing = false
  #ending = false

  /** `ontaken`: the kernel took so many bytes more. */
  constructor(socket: Socket, ontaken: (bytes: number) => void) {
    this.#socket = socket
    this.#ontaken = ontaken
  }

  /** Writes bytes, which must not be changed afterwards. */
  write(bytes: Uint8Array): void {
    // By itself the socket would keep each chunk, and the whole message that it is a part of.
    this.#waiting.push(bytes)
    if (!this.#writing) this.#flush()
  }

  /** Half-closes the socket after what was written. */
  end(): void {
    this.#ending = true
    if (!this.#writing) this.#socket.end()
  }

  #flush(): void {
    const bytes = this.#waiting.unread
    this.#writing = true
    let left = bytes
    // All chunks in one call of the kernel.
    this.#socket.cork()
    this.#waiting.shift(bytes, (piece) => {
      left -= piece.length
      this.#socket.write(piece, left > 0 ? undefined : (error) => error || this.#flushed(bytes))
    })
    this.#socket.uncork()
  }

  #flushed(bytes: number): void {
    this.#writing = false
    if (this.#waiting.unread > 0) this.#flush()
    else if (this.#ending) this.#socket.end()
    this.#ontaken(bytes)
  }
}
