/** What the processes logged: why each connection was reset, and how often each line came. */
export interface Reset {
  readonly time: number
  readonly by: string
  readonly code: string
  readonly reason: string
}

const WARN = 40

export class LogBook {
  /** Resets of an access process, by the address of the till. */
  readonly #resets = new Map<string, Reset[]>()
  /** "message (code)" of warnings and errors, with how often it came */
  readonly warnings = new Map<string, number>()
  /** Lines that are no log line. */
  readonly other: string[] = []

  /** Takes a line of standard error. */
  add(service: string, line: string): void {
    const entry = parse(line)
    if (entry === null) {
      this.other.push(`${service}: ${line}`)
      return
    }
    const { level, time, msg, code, from, by, reason } = entry
    if (typeof level === 'number' && level >= WARN) {
      const role = service.replace(/-\d+$/, '')
      const key = `${role}: ${String(msg)}${code === undefined ? '' : ` (${String(code)})`}`
      this.warnings.set(key, (this.warnings.get(key) ?? 0) + 1)
    }
    if (msg !== 'connection reset' || typeof from !== 'string' || typeof time !== 'number') return
    const reset = { time, by: String(by ?? 'near'), code: String(code), reason: String(reason) }
    this.#resets.set(from, [...(this.#resets.get(from) ?? []), reset])
  }

  /** Why the connection from this address, open in this time, was reset. */
  reset(from: string, began: number, ended: number): Reset | null {
    // The line may come a little after the reset itself.
    return this.#resets.get(from)?.find(({ time }) => time >= began - 100 && time <= ended + 5000) ?? null
  }
}

function parse(line: string): Readonly<Record<string, unknown>> | null {
  if (!line.startsWith('{')) return null
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return null
  }
}
