/** Counts the connections that are dropped, and tells of them together: a line for each would fill the disk as well. */
import type { Log } from '../shared/log.ts'

/** More sources than this in one interval are counted as one. */
const SOURCES = 1000

export type DropReason =
  | 'connects too often'
  | 'gave way to another'
  | 'forwarded without an address'
  | 'TLS handshake too slow'
  | 'TLS handshake failed'
  | 'request too slow'
  | 'request malformed'
  | 'server full'

export class Drops {
  readonly #log: Log
  /** ms */
  readonly #interval: number
  readonly #reasons = new Map<DropReason, number>()
  readonly #sources = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(log: Log, interval: number) {
    this.#log = log
    this.#interval = interval
  }

  count(reason: DropReason, source: string): void {
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1)
    const at = this.#sources.has(source) || this.#sources.size < SOURCES ? source : 'others'
    this.#sources.set(at, (this.#sources.get(at) ?? 0) + 1)
    this.#timer ??= setTimeout(() => this.#tell(), this.#interval).unref()
  }

  /** Tells what has not been told. */
  stop(): void {
    if (this.#timer !== undefined) this.#tell()
  }

  #tell(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const [most] = [...this.#sources].sort(([, a], [, b]) => b - a)
    const fields = { ...Object.fromEntries(this.#reasons), sources: this.#sources.size, most }
    this.#log.warn(fields, 'dropped connections')
    this.#reasons.clear()
    this.#sources.clear()
  }
}
