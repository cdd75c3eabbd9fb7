/**
 * Which pages of this browser and origin were killed before they could say that they end: each holds a lock while it
 * lives, and a page that connects later tells the other side, which else would keep their printers for them.
 */
import * as v from 'valibot'
import { LIMITS } from '../../shared/limits.ts'
import { ID_PATTERN } from '../../shared/names.ts'
import { type Database, PAGES } from './database.ts'

const Page = v.strictObject({
  peer: v.pipe(v.string(), v.regex(ID_PATTERN)),
  /** ms since 1970 */
  since: v.pipe(v.number(), v.safeInteger()),
})

export interface EnteredPage {
  /** ids of pages that were killed, the newest first */
  readonly killed: readonly string[]
  /** The page ends in order. */
  leave(): Promise<void>
}

export async function enterPage(database: Database, peer: string): Promise<EnteredPage> {
  const release = await hold(lockOf(peer))
  await database.keep(PAGES, peer, { peer, since: Date.now() })
  const pages = v.parse(v.array(Page), await database.values(PAGES))
  // Afterwards: whoever is entered has its lock.
  const locks = new Set((await navigator.locks.query()).held?.map(({ name }) => name))
  const killed = pages.filter((page) => !locks.has(lockOf(page.peer))).sort((one, other) => other.since - one.since)
  // The others are kept: this page, too, may be killed before it could say so.
  for (const { peer: old } of killed.splice(LIMITS.predecessors)) await database.delete(PAGES, old)
  return {
    killed: killed.map((page) => page.peer),
    leave: async () => {
      await database.delete(PAGES, peer)
      release()
    },
  }
}

const lockOf = (peer: string): string => `nearport ${peer}`

/** Resolves, once this page has the lock, with what gives it back. */
function hold(name: string): Promise<() => void> {
  return new Promise((held, failed) => {
    navigator.locks.request(name, () => new Promise<void>((release) => held(release))).catch(failed)
  })
}
