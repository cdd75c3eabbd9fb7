import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** bytes, after a full garbage collection */
export function heapUsed(): number {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect !== 'function') throw new TypeError('this Node collects no garbage on request')
  // Twice: what the first one found to be garbage is freed beside the program, at the latest before the second.
  collect()
  collect()
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
}
