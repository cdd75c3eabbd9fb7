/**
 * The result of `work`, or a rejection with the reason of `signal` when that aborts first; `undo` is then given the
 * result that nobody waits for any more.
 */
export async function abortable<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  undo: (late: T) => void,
): Promise<T> {
  if (signal === undefined) return work
  let abort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort)
  })
  try {
    return await Promise.race([work, aborted])
  } catch (error) {
    // Its failure is nobody's concern any more either.
    if (signal.aborted) work.then(undo, () => undefined)
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
