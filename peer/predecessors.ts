/**
 * Which peer processes of this environment were killed: each leaves a file while it runs, and whoever starts later
 * tells the other side that the dead ones are, which could else not know them from ones that lost their path.
 */
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import * as v from 'valibot'
import writeFileAtomic from 'write-file-atomic'
import { LIMITS } from '../shared/limits.ts'
import { ID_PATTERN } from '../shared/names.ts'

const RunningFile = v.strictObject({
  version: v.literal(1),
  pid: v.pipe(v.number(), v.safeInteger()),
  host: v.string(),
})

export class Predecessors {
  readonly #folder: string

  /** `folder`: of the configuration. */
  constructor(folder: string) {
    this.#folder = join(folder, 'running')
  }

  /** Enters this process. Returns the ids of those that were killed, the newest first, LIMITS.predecessors at most. */
  async enter(peer: string): Promise<string[]> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    // First, as what another one left there may be in the way.
    await writeFileAtomic(this.#path(peer), JSON.stringify({ version: 1, pid: process.pid, host: hostname() }), {
      mode: 0o600,
    })
    const dead: { readonly peer: string; readonly since: number }[] = []
    for (const file of await readdir(this.#folder)) {
      const other = file.replace(/\.json$/, '')
      const since = other !== peer && ID_PATTERN.test(other) ? await this.#deadSince(other) : null
      if (since !== null) dead.push({ peer: other, since })
    }
    dead.sort((one, other) => other.since - one.since)
    // The others are kept: this process, too, may be killed before it could say so.
    for (const { peer: old } of dead.splice(LIMITS.predecessors)) await this.leave(old)
    return dead.map(({ peer: killed }) => killed)
  }

  /** A process has ended in order, and has said so itself. */
  async leave(peer: string): Promise<void> {
    await rm(this.#path(peer), { force: true })
  }

  #path(peer: string): string {
    return join(this.#folder, `${peer}.json`)
  }

  /** ms since 1970 when a process that was killed began; null for one that may run. */
  async #deadSince(peer: string): Promise<number | null> {
    try {
      const { mtimeMs } = await stat(this.#path(peer))
      const { pid, host } = v.parse(RunningFile, JSON.parse(await readFile(this.#path(peer), 'utf8')))
      if (host === hostname()) return isDead(pid) ? mtimeMs : null
      // Of a container that will not come back, most likely.
      if (Date.now() - mtimeMs > LIMITS.graceMost) await this.leave(peer)
      return null
    } catch (error) {
      // It ended in order meanwhile.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw error
    }
  }
}

/** On this machine, or in this container; a number like our own was given anew. */
function isDead(pid: number): boolean {
  if (pid === process.pid) return true
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    // Another user's process runs, too.
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}
