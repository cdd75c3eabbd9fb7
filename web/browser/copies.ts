/**
 * Copies of what a page writes, kept until the target has taken them. Their memory is used again: for a browser to give
 * new memory takes far longer than the copying.
 */
import { LIMITS } from '../../shared/limits.ts'

const SIZE = LIMITS.messageBytes

export class Copies {
  /** of all that was copied */
  bytes = 0
  readonly #free: Uint8Array[] = []
  /** In order, with the offset of the end of each in all that was copied. */
  readonly #used: { readonly space: Uint8Array; readonly end: number }[] = []

  /** What `chunk` has from `at` on, as much of it as fits into one piece. */
  of(chunk: Uint8Array, at: number): Uint8Array {
    const source = chunk.subarray(at, at + SIZE)
    this.bytes += source.length
    // A small write is not worth a whole piece.
    if (source.length < SIZE / 2) return source.slice()
    const space = this.#free.pop() ?? new Uint8Array(SIZE)
    space.set(source)
    this.#used.push({ space, end: this.bytes })
    return space.subarray(0, source.length)
  }

  /** The first `bytes` of all are sent again by nobody. */
  release(bytes: number): void {
    const kept = this.#used.findIndex(({ end }) => end > bytes)
    const done = this.#used.splice(0, kept < 0 ? this.#used.length : kept)
    this.#free.push(...done.map(({ space }) => space))
  }
}
