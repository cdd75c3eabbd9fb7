/**
 * LevelDB, and what makes a write that failed harmless. LevelDB goes on after one; but where a full disk has torn a
 * record, the next start reads its log no further and drops what was written and synced behind it. So nothing is
 * written behind a failed write: the database is closed, opened anew (which starts a new log), and compared with what
 * it should hold, before it takes another one.
 */
import { ClassicLevel } from 'classic-level'
import { NearportError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'

/** A value that a key is to have, or none. */
export type Change =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string }

/** The part of ClassicLevel that is used. */
export interface Level {
  batch(changes: Change[], options: { readonly sync: true }): Promise<void>
  iterator(): AsyncIterable<[string, string]>
  close(): Promise<void>
}

export interface DiskOptions {
  readonly folder: string
  /** All that was acknowledged, by key. */
  readonly expected: () => Iterable<readonly [key: string, value: string]>
  readonly log: Log
  /** Tests break it. */
  readonly openLevel?: ((folder: string) => Promise<Level>) | undefined
}

const SYNC = { sync: true } as const

export class Disk {
  readonly #options: DiskOptions
  #level: Level | null = null
  /** It holds what is expected, and no write to it has failed. */
  #isSound = false
  #isClosed = false

  constructor(options: DiskOptions) {
    this.#options = options
  }

  /** To be called first. Returns all that is on disk. Throws what LevelDB throws. */
  async open(): Promise<Map<string, string>> {
    try {
      const entries = await entriesOf(await this.#open())
      this.#isSound = true
      return entries
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /**
   * Resolves once all changes are on disk. Where it throws, none of them is there at the next start, unless the
   * process ends before the disk lets it put that right. To be called one at a time: LevelDB would acknowledge what it
   * writes behind a torn record.
   */
  async write(changes: readonly Change[]): Promise<void> {
    if (this.#isClosed) throw new NearportError('store-failed', 'the store is closed')
    const level = this.#isSound && this.#level !== null ? this.#level : await this.#restore()
    try {
      await level.batch([...changes], SYNC)
    } catch (error) {
      this.#isSound = false
      await this.#restoreNow(error)
      throw error
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#level?.close()
  }

  /** At once: a write may fail and still be there at the next start, although its sender was told otherwise. */
  async #restoreNow(why: unknown): Promise<void> {
    const { folder, log } = this.#options
    log.error({ folder, reason: reasonOf(why) }, 'a write to the store failed; it is opened anew')
    try {
      await this.#restore()
    } catch (error) {
      log.error({ folder, reason: reasonOf(error) }, 'the store takes no changes until it can be opened anew')
    }
  }

  /** Opens it anew and makes it hold what is expected. Throws what LevelDB throws; each call begins from the start. */
  async #restore(): Promise<Level> {
    const { folder, expected, log } = this.#options
    const level = await this.#open()
    const changes = changesTo(new Map(expected()), await entriesOf(level))
    if (changes.length > 0) await level.batch(changes, SYNC)
    this.#isSound = true
    log.info({ folder, restored: changes.length }, 'the store was opened anew, and holds what it should')
    return level
  }

  /** What is open is closed first, as two cannot have the folder. */
  async #open(): Promise<Level> {
    await this.#level?.close()
    this.#level = null
    const { folder, openLevel = openClassicLevel } = this.#options
    this.#level = await openLevel(folder)
    return this.#level
  }
}

async function openClassicLevel(folder: string): Promise<Level> {
  const level = new ClassicLevel(folder)
  await level.open()
  return level
}

async function entriesOf(level: Level): Promise<Map<string, string>> {
  const entries = new Map<string, string>()
  for await (const [key, value] of level.iterator()) entries.set(key, value)
  return entries
}

/** What makes `actual` be `expected`. */
function changesTo(expected: ReadonlyMap<string, string>, actual: ReadonlyMap<string, string>): Change[] {
  const changes: Change[] = []
  for (const [key, value] of expected) if (actual.get(key) !== value) changes.push({ type: 'put', key, value })
  for (const key of actual.keys()) if (!expected.has(key)) changes.push({ type: 'del', key })
  return changes
}

/** What LevelDB says; abstract-level wraps it in `cause`. */
export const reasonOf = (error: unknown): string => {
  const reason = error instanceof Error && error.cause !== undefined ? error.cause : error
  return reason instanceof Error ? reason.message : String(reason)
}

/** Another process has the folder open. */
export function isLocked(error: unknown): boolean {
  const reason = error instanceof Error && error.cause !== undefined ? error.cause : error
  return typeof reason === 'object' && reason !== null && 'code' in reason && reason.code === 'LEVEL_LOCKED'
}
