/**
 * Frees the buffers a job leaves behind while they are young. Their memory is outside the heap, so that V8 collects
 * them only when tens of MiB have gathered, and then by looking at the whole heap: a third of all CPU time of a job.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** bytes of buffers between two collections of the young heap; each takes about a millisecond */
const INTERVAL = 8 * 1024 * 1024

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as (options: { readonly type: 'minor' }) => void

let bytes = 0

/** A buffer of `length` bytes came from a socket or a channel. */
export function noteBuffer(length: number): void {
  bytes += length
  if (bytes < INTERVAL) return
  bytes = 0
  collect({ type: 'minor' })
}
