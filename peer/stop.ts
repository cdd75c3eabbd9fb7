/** Waits for the user's wish to stop. */
import { LIMITS } from '../shared/limits.ts'

/**
 * Resolves at the first SIGINT or SIGTERM, or when `other` does, whichever comes first; rejects when `other` does.
 * Once it is over, a second signal or a shutdown that hangs ends the process at once.
 */
export async function untilStopped<T>(other: Promise<T>): Promise<T | 'stopped'> {
  let stop: () => void = () => undefined
  const stopped = new Promise<'stopped'>((resolve) => {
    stop = () => resolve('stopped')
  })
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  try {
    return await Promise.race([stopped, other])
  } finally {
    const force = () => process.exit(1)
    process.once('SIGINT', force)
    process.once('SIGTERM', force)
    setTimeout(force, LIMITS.shutdownDeadline).unref()
  }
}
