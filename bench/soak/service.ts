/** One nearport process that is kept running, as a supervisor would, and what was done to it. */
import { setTimeout as delay } from 'node:timers/promises'
import { Child } from '../../peer/demo/child.ts'

export type Role = 'signaling' | 'share' | 'access'

/** One start of the process, until its end. */
export interface Instance {
  readonly service: string
  readonly number: number
  readonly pid: number
  readonly startedAt: number
}

export interface ServiceOptions {
  readonly name: string
  readonly role: Role
  readonly engine: string | null
  /** of node: the program and its arguments */
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** the child has said that it serves */
  readonly ready: (child: Child) => boolean
  readonly online: (line: string) => void
}

/** ms between two attempts to start */
const RETRY = 300
const START_DEADLINE = 90_000
const STOP_DEADLINE = 10_000

export class Service {
  readonly name: string
  readonly role: Role
  readonly engine: string | null
  /** ends that nobody had ordered */
  readonly crashes: string[] = []
  /** starts that ended with the exit status 1, "may succeed later" */
  repeatedStarts = 0
  instances = 0
  readonly #options: ServiceOptions
  #child: Child | null = null
  #instance: Instance | null = null
  #ordered = false
  #over = false

  constructor(options: ServiceOptions) {
    this.#options = options
    this.name = options.name
    this.role = options.role
    this.engine = options.engine
  }

  /** null while it does not run */
  get instance(): Instance | null {
    return this.#instance
  }

  /** Resolves when it serves. Rejects when it never will. */
  async start(): Promise<void> {
    while (!this.#over) {
      this.#ordered = false
      const child = this.#spawn()
      try {
        await child.until('its start', (it) => (this.#options.ready(it) ? true : undefined), START_DEADLINE)
        this.#watch(child)
        return
      } catch (error) {
        const exit = await child.stop('SIGKILL')
        if (this.#over) return
        if (exit.code !== 1) throw error
        this.repeatedStarts++
        await delay(RETRY)
      }
    }
  }

  /** Ends it with this signal, and resolves when it has ended. */
  async stop(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child
    if (child === null || child.exit !== null) return
    this.#ordered = true
    const exit = await child.stop(signal, STOP_DEADLINE)
    if (signal === 'SIGKILL' || exit.signal === null) return
    this.crashes.push(
      `${this.name} ended by ${exit.signal}, not by itself, within ${STOP_DEADLINE / 1000} s of SIGTERM`,
    )
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.process.kill(signal)
  }

  /** For good. */
  async end(): Promise<void> {
    this.#over = true
    this.signal('SIGCONT')
    await this.stop('SIGTERM')
  }

  #spawn(): Child {
    const { name, args, env, online } = this.#options
    const child = new Child(name, args, { env, online: (line, from) => from === 'stderr' && online(line) })
    this.#child = child
    this.instances++
    const { pid = 0 } = child.process
    this.#instance = { service: name, number: this.instances, pid, startedAt: Date.now() }
    child.ended.then(() => {
      this.#instance = null
    })
    return child
  }

  /** What ends by itself is a failure, and is started again so that the rest of the run tells something. */
  #watch(child: Child): void {
    child.ended.then(async ({ code, signal }) => {
      if (this.#ordered || this.#over) return
      this.crashes.push(`${this.name} ended (${signal ?? `status ${code}`}): ${child.stderr.slice(-3).join(' ')}`)
      await delay(RETRY)
      await this.start().catch((error: unknown) => {
        this.crashes.push(`${this.name} does not start again: ${String(error)}`)
      })
    })
  }
}
