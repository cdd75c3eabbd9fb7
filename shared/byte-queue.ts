/**
 * Bytes in order, in chunks. The first of them may have been read and kept, until they are released. Large chunks are
 * not copied. Small ones are, and joined: a chunk costs hundreds of bytes by itself, and a view keeps the whole buffer
 * that it is a part of. So what a queue holds takes at most about twice its bytes of memory, and 64 KiB.
 */
import { LIMITS } from './limits.ts'

const EMPTY = new Uint8Array()

export class ByteQueue {
  #chunks: Uint8Array[] = []
  /** Of the first chunk that is still in the queue; shifting an array costs its length. */
  #head = 0
  /** Of the chunk that is read next, and the bytes of it that were read. */
  #next = 0
  #offset = 0
  #held = 0
  #unread = 0
  /** The last chunk has its own memory, which may have room for more. */
  #joined = false

  /** bytes to be read */
  get unread(): number {
    return this.#unread
  }

  /** Adds bytes, which must not be changed afterwards. */
  push(chunk: Uint8Array): void {
    this.#held += chunk.length
    this.#unread += chunk.length
    const last = this.#chunks.length - 1
    const tail = last >= this.#head ? this.#chunks[last] : undefined
    if (tail !== undefined && isSmall(chunk) && this.#takes(tail, chunk)) {
      this.#chunks[last] = this.#join(tail, chunk)
      return
    }
    // A slice of a Buffer would be a view.
    this.#chunks.push(keepsMore(chunk) ? new Uint8Array(chunk) : chunk)
    this.#joined = false
  }

  /** Gives the next `bytes` (or all, if there are fewer) to `use`, in pieces, and keeps them. */
  read(bytes: number, use: (piece: Uint8Array) => void): void {
    let left = Math.min(bytes, this.#unread)
    this.#unread -= left
    while (left > 0) {
      const chunk = this.#chunks[this.#next] as Uint8Array
      const piece = chunk.subarray(this.#offset, this.#offset + left)
      left -= piece.length
      this.#offset += piece.length
      if (piece.length > 0) use(piece)
      // Not at the end of the last one: more may be joined to it.
      if (left > 0) {
        this.#next++
        this.#offset = 0
      }
    }
  }

  /** All that was read and not released is to be read again. */
  rewind(): void {
    this.#unread = this.#held
    this.#next = this.#head
    this.#offset = 0
  }

  /** Drops the first `bytes` of those that were read. */
  release(bytes: number): void {
    let left = Math.min(bytes, this.#held - this.#unread)
    this.#held -= left
    if (this.#held === 0) {
      this.clear()
      return
    }
    while (left > 0) {
      const first = this.#chunks[this.#head] as Uint8Array
      if (first.length > left) {
        this.#chunks[this.#head] = first.subarray(left)
        if (this.#next === this.#head) this.#offset -= left
        break
      }
      left -= first.length
      this.#chunks[this.#head++] = EMPTY
    }
    if (this.#next < this.#head) {
      this.#next = this.#head
      this.#offset = 0
    }
    if (this.#head * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head)
      this.#next -= this.#head
      this.#head = 0
    }
  }

  /** Takes the first `bytes` (or all, if there are fewer) out of the queue, and gives them to `use` in pieces. */
  shift(bytes: number, use: (piece: Uint8Array) => void): void {
    this.read(bytes, use)
    this.release(this.#held - this.#unread)
  }

  /** Takes the first piece out of the queue; undefined when there is none. Nothing else in the queue shares its memory. */
  shiftPiece(): Uint8Array | undefined {
    const first = this.#chunks[this.#head]
    if (first !== undefined) this.shift(first.length, () => undefined)
    return first
  }

  clear(): void {
    this.#chunks = []
    this.#head = 0
    this.#next = 0
    this.#offset = 0
    this.#held = 0
    this.#unread = 0
    this.#joined = false
  }

  #takes(tail: Uint8Array, chunk: Uint8Array): boolean {
    return (this.#joined || isSmall(tail)) && tail.length + chunk.length <= LIMITS.messageBytes
  }

  /** Its memory is doubled when it is full, so that each byte is copied about twice. */
  #join(tail: Uint8Array, chunk: Uint8Array): Uint8Array {
    const length = tail.length + chunk.length
    const hasRoom = this.#joined && tail.byteOffset + length <= tail.buffer.byteLength
    const joined = hasRoom
      ? new Uint8Array(tail.buffer, tail.byteOffset, length)
      : new Uint8Array(Math.min(2 * length, LIMITS.messageBytes)).subarray(0, length)
    if (!hasRoom) joined.set(tail)
    joined.set(chunk, tail.length)
    this.#joined = true
    return joined
  }
}

/** It keeps more memory than it is worth. */
const keepsMore = (chunk: Uint8Array): boolean => chunk.length * 2 < chunk.buffer.byteLength

/** It costs less to copy than to keep. */
const isSmall = (chunk: Uint8Array): boolean => chunk.length < LIMITS.smallChunk || keepsMore(chunk)
