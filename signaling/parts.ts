import { ENTRIES_PER_MESSAGE } from '../shared/messages.ts'

/** The entries, in parts that fit into a message; each part is read when it is asked for. */
export function* parts<T>(entries: Iterable<T>): Generator<T[]> {
  let part: T[] = []
  for (const entry of entries) {
    if (part.push(entry) < ENTRIES_PER_MESSAGE) continue
    yield part
    part = []
  }
  if (part.length > 0) yield part
}
