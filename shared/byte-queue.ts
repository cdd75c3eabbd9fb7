/** Chunks in order, none of them copied. */
export class ByteQueue {
  #chunks: Uint8Array[] = []
  /** Of the first chunk that is still in the queue; shifting an array costs its length. */
  #head = 0
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
  }

  /** Takes the first `bytes` (or all, if there are fewer) out of the queue, and gives them to `use` in pieces. */
  shift(bytes: number, use: (piece: Uint8Array) => void): void {
    let left = Math.min(bytes, this.#bytes)
    this.#bytes -= left
    while (left > 0) {
      const first = this.#chunks[this.#head] as Uint8Array
      if (first.length > left) {
        use(first.subarray(0, left))
        this.#chunks[this.#head] = first.subarray(left)
        break
      }
      left -= first.length
      this.#head++
      use(first)
    }
    if (this.#head * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head)
      this.#head = 0
    }
  }

  /** Puts all of `before` in front; `before` is empty afterwards. */
  prepend(before: ByteQueue): void {
    this.#chunks = [...before.#chunks.slice(before.#head), ...this.#chunks.slice(this.#head)]
    this.#head = 0
    this.#bytes += before.#bytes
    before.clear()
  }

  clear(): void {
    this.#chunks = []
    this.#head = 0
    this.#bytes = 0
  }
}
