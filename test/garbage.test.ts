/** Buffers that nobody holds any more are freed while a job runs, not tens of MiB later. */
import { noteBuffer } from '../peer/garbage.ts'

const CHUNK = 64 * 1024
const MIB = 1024 * 1024

test('what a job leaves behind does not gather', () => {
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  for (let bytes = 0; bytes < 256 * MIB; bytes += CHUNK) {
    Buffer.alloc(CHUNK)
    noteBuffer(CHUNK)
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  // Twice the interval, as what was made since the collection before may survive one more.
  expect(most).toBeLessThanOrEqual(17 * MIB)
})
