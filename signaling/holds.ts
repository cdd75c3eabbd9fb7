/**
 * Ephemeral names that were served a moment ago: when a connection ended without giving them up, or this server
 * stopped. They are kept for the identity that served them, for as long as it may take to come back; otherwise whoever
 * sees it go takes them. A file beside the store remembers them over a restart. It is a convenience and not a promise:
 * nothing waits for it, and a server that cannot read or write it works without.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import writeFileAtomic from 'write-file-atomic'
import { asNearportError, NearportError } from '../shared/errors.ts'
import type { Limits } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import { NAME_PATTERN } from '../shared/names.ts'
import { parseJson, publicKey } from '../shared/schema.ts'

const Name = v.pipe(v.string(), v.regex(NAME_PATTERN))
const HeldFile = v.strictObject({ version: v.literal(1), names: v.array(v.tuple([Name, publicKey])) })

interface Hold {
  readonly identity: string
  /** ms, of performance.now() */
  readonly until: number
}

export type HoldLimits = Pick<Limits, 'nameHold' | 'heldNames' | 'holdsWrite'>

export class Holds {
  readonly #file: string
  readonly #limits: HoldLimits
  readonly #log: Log
  /** By name: the identity that serves it, the longest served first. */
  readonly #served = new Map<string, string>()
  /** The first to end first. */
  readonly #held = new Map<string, Hold>()
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #isFailing = false

  private constructor(file: string, limits: HoldLimits, log: Log) {
    this.#file = file
    this.#limits = limits
    this.#log = log
  }

  /** Holds what was served when the server stopped. Never rejects for what the file is. */
  static async open(folder: string, limits: HoldLimits, log: Log): Promise<Holds> {
    const holds = new Holds(join(folder, 'served.json'), limits, log)
    for (const [name, identity] of await holds.#read()) holds.#hold(name, identity)
    return holds
  }

  /** An ephemeral name is served. */
  serve(name: string, identity: string): void {
    this.#held.delete(name)
    this.#served.set(name, identity)
    this.#writeSoon()
  }

  /** It is served no longer, on purpose; or it is reserved now. */
  giveUp(name: string): void {
    const [served, held] = [this.#served.delete(name), this.#held.delete(name)]
    if (served || held) this.#writeSoon()
  }

  /** Its connection ended. */
  lose(name: string): void {
    const identity = this.#served.get(name)
    if (identity === undefined) return
    this.#served.delete(name)
    this.#hold(name, identity)
    this.#writeSoon()
  }

  /** For whom a name is kept; undefined if for nobody. */
  holder(name: string): string | undefined {
    this.#forget()
    return this.#held.get(name)?.identity
  }

  /** Resolves when all is written, or could not be. */
  async stop(): Promise<void> {
    if (this.#timer !== undefined) this.#write()
    await this.#writing
  }

  #hold(name: string, identity: string): void {
    this.#forget()
    if (this.#held.size >= this.#limits.heldNames) return
    this.#held.set(name, { identity, until: performance.now() + this.#limits.nameHold })
  }

  #forget(): void {
    const now = performance.now()
    for (const [name, { until }] of this.#held) {
      if (until > now) return
      this.#held.delete(name)
    }
  }

  #writeSoon(): void {
    this.#timer ??= setTimeout(() => this.#write(), this.#limits.holdsWrite).unref()
  }

  #write(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#writeNow()).catch((error: unknown) => this.#warn(error))
  }

  async #writeNow(): Promise<void> {
    this.#forget()
    const held = [...this.#held].map(([name, { identity }]): [string, string] => [name, identity])
    const names = [...this.#served, ...held].slice(0, this.#limits.heldNames)
    const file: v.InferOutput<typeof HeldFile> = { version: 1, names }
    await writeFileAtomic(this.#file, JSON.stringify(file), { mode: 0o600, fsync: false })
    this.#isFailing = false
  }

  async #read(): Promise<readonly (readonly [name: string, identity: string])[]> {
    try {
      const text = await readFile(this.#file, 'utf8')
      const malformed = (what: string) => new NearportError('config-invalid', `${this.#file} ${what}`)
      return parseJson(HeldFile, text, malformed).names
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#warn(error)
      return []
    }
  }

  /** Once for each trouble. */
  #warn(error: unknown): void {
    if (this.#isFailing) return
    this.#isFailing = true
    this.#log.warn({ reason: asNearportError(error).message }, 'ephemeral names are not kept over a restart')
  }
}
