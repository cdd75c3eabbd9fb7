import fc from 'fast-check'
import { ByteQueue } from '../shared/byte-queue.ts'
import { LIMITS } from '../shared/limits.ts'
import { heapUsed } from './support/heap.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** What the chunk at `mark` has: views of a larger buffer, as payloads are of their message. */
function view(length: number, around: number, mark: number): Uint8Array {
  return new Uint8Array(length + around).map((_, at) => (at * 7 + mark * 31) % 256).subarray(around)
}

test('what is read, released, and read again after a rewind is what was pushed', () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 2 * LIMITS.messageBytes }))
  const step = fc.oneof(
    fc.record({ push: size, around: fc.constantFrom(0, 15, 70_000) }),
    fc.record({ read: size }),
    fc.record({ release: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ shift: size }),
    fc.constant('piece' as const),
    fc.constant('rewind' as const),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new ByteQueue()
      let all = Buffer.alloc(0)
      let [released, read] = [0, 0]
      const check = (pieces: readonly Uint8Array[]) => {
        const bytes = Buffer.concat(pieces)
        expect(Buffer.compare(bytes, all.subarray(read, read + bytes.length))).toBe(0)
        read += bytes.length
      }
      for (const [mark, todo] of steps.entries()) {
        const pieces: Uint8Array[] = []
        if (todo === 'rewind') {
          queue.rewind()
          read = released
        } else if (todo === 'piece') {
          if (read > released) continue
          const piece = queue.shiftPiece()
          expect(piece === undefined).toBe(read === all.length)
          check(piece === undefined ? [] : [piece])
          released = read
        } else if ('push' in todo) {
          const chunk = view(todo.push, todo.around, mark)
          all = Buffer.concat([all, chunk])
          queue.push(chunk)
        } else if ('release' in todo) {
          const bytes = Math.floor((read - released) * todo.release)
          released += bytes
          queue.release(bytes)
        } else if ('read' in todo) {
          queue.read(todo.read, (piece) => pieces.push(piece))
          check(pieces)
        } else {
          queue.shift(todo.shift, (piece) => pieces.push(piece))
          check(pieces)
          released = read
        }
        expect(queue.unread).toBe(all.length - read)
      }
      queue.rewind()
      read = released
      const rest: Uint8Array[] = []
      queue.read(Number.POSITIVE_INFINITY, (piece) => rest.push(piece))
      check(rest)
      expect(read).toBe(all.length)
    }),
    { numRuns: 200 },
  )
})

/** Each makes the next chunk, and says how many bytes of it are the queue's. */
const worst: readonly [string, number, () => Uint8Array][] = [
  ['single bytes, each of a message of its own', 1, () => new Uint8Array(64 * KIB).subarray(100, 101)],
  ['single bytes', 1, () => new Uint8Array(1)],
  ['a little less than half of a message', 32 * KIB - 1, () => new Uint8Array(64 * KIB).subarray(0, 32 * KIB - 1)],
  ['half of a message', 32 * KIB, () => new Uint8Array(64 * KIB).subarray(0, 32 * KIB)],
  [
    'what is just not small',
    LIMITS.smallChunk,
    () => new Uint8Array(2 * LIMITS.smallChunk).subarray(LIMITS.smallChunk),
  ],
]

test.each(worst)('a window of %s takes no more than about twice its memory', (_, length, chunk) => {
  const bytes = length === 1 ? 20 * KIB : 2 * MIB
  const queue = new ByteQueue()
  const before = heapUsed()
  while (queue.unread < bytes) queue.push(chunk())
  expect(heapUsed() - before).toBeLessThan(2.5 * bytes + MIB)
  expect(queue.unread).toBeGreaterThanOrEqual(bytes)
})

test('small and large ones in turn, of which most was taken, do not keep what they were part of', () => {
  const queue = new ByteQueue()
  const before = heapUsed()
  for (let n = 0; n < 4000; n++) {
    queue.push(new Uint8Array(64 * KIB).subarray(0, 1))
    queue.push(new Uint8Array(LIMITS.smallChunk))
    if (n >= 100) queue.shift(LIMITS.smallChunk + 1, () => undefined)
  }
  expect(heapUsed() - before).toBeLessThan(2 * MIB)
  expect(queue.unread).toBe(100 * (LIMITS.smallChunk + 1))
})

test('a large chunk is never copied, and pieces of the others share no memory', () => {
  const queue = new ByteQueue()
  const large = new Uint8Array(LIMITS.messageBytes).subarray(15)
  for (const chunk of [new Uint8Array(1), large, new Uint8Array(1), new Uint8Array(1), large]) queue.push(chunk)
  const pieces: Uint8Array[] = []
  for (let piece = queue.shiftPiece(); piece !== undefined; piece = queue.shiftPiece()) pieces.push(piece)
  expect(pieces.map(({ length }) => length)).toEqual([1, large.length, 2, large.length])
  expect(pieces.filter(({ buffer }) => buffer === large.buffer)).toHaveLength(2)
  expect(new Set(pieces.map(({ buffer }) => buffer)).size).toBe(3)
})
