import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { LIMITS } from '../shared/limits.ts'
import { Copies } from '../web/browser/copies.ts'

/** Bytes that tell which write and which place they are of. */
const marked = (length: number, mark: number): Uint8Array =>
  new Uint8Array(length).map((_, at) => (at * 7 + mark * 31) % 256)

test('what is not released stays as it was written, whatever the page does with its bytes', () => {
  const step = fc.oneof(
    fc.record({ write: fc.integer({ min: 1, max: 3 * LIMITS.messageBytes }) }),
    fc.record({ release: fc.double({ min: 0, max: 1, noNaN: true }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const copies = new Copies()
      let kept: { piece: Uint8Array; expected: Uint8Array; end: number }[] = []
      let [written, released] = [0, 0]
      for (const [mark, todo] of steps.entries()) {
        if ('write' in todo) {
          const chunk = marked(todo.write, mark)
          const original = chunk.slice()
          for (let at = 0; at < chunk.length; ) {
            const piece = copies.of(chunk, at)
            written += piece.length
            kept.push({ piece, expected: original.subarray(at, at + piece.length), end: written })
            at += piece.length
          }
          chunk.fill(0)
        } else {
          released += Math.floor((written - released) * todo.release)
          copies.release(released)
          kept = kept.filter(({ end }) => end > released)
        }
        for (const { piece, expected } of kept) expect(Buffer.compare(piece, expected)).toBe(0)
      }
    }),
    { numRuns: 100 },
  )
})

test('memory is used again', () => {
  const copies = new Copies()
  const first = copies.of(marked(LIMITS.messageBytes, 1), 0)
  copies.release(first.length)
  const second = copies.of(marked(LIMITS.messageBytes, 2), 0)
  expect(second.buffer).toBe(first.buffer)
})
