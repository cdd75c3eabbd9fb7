/**
 * Preloaded into a process that is measured (node --import): answers each IPC message with what the process has used,
 * after a full garbage collection if the message asks for one.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

export interface Usage {
  /** bytes */
  readonly rss: number
  /** bytes: objects of V8, and buffers outside of it */
  readonly heap: number
  /** seconds, of all threads */
  readonly cpu: number
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

process.on('message', ({ collectFirst }: { collectFirst: boolean }) => {
  // Twice: what the first one found to be garbage is freed beside the program, at the latest before the second.
  if (collectFirst) for (let times = 0; times < 2; times++) collect()
  const { rss, heapUsed, external } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  process.send?.({ rss, heap: heapUsed + external, cpu: (user + system) / 1e6 } satisfies Usage)
})
// The process ends when it wants to.
process.channel?.unref()
