/** A child process whose output is read line by line, and waited on by what it says. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ChildOptions {
  /** default: this Node */
  readonly program?: string
  /** added to the environment of this process; undefined takes a variable away */
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** all of standard input; without it there is none */
  readonly input?: string
  readonly online?: (line: string, from: 'stdout' | 'stderr') => void
}

export class Child {
  readonly name: string
  readonly process: ChildProcess
  readonly stdout: string[] = []
  readonly stderr: string[] = []
  /** Resolves when the process has ended and all its output is here. */
  readonly ended: Promise<Exit>
  #exit: Exit | null = null
  #failure: Error | null = null
  readonly #waiting = new Set<() => void>()

  constructor(name: string, args: readonly string[], options: ChildOptions = {}) {
    this.name = name
    const { program = process.execPath, env = {}, cwd, input, online } = options
    const spawnOptions: SpawnOptions = {
      env: { ...process.env, ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
    }
    this.process = spawn(program, args, spawnOptions)
    this.process.stdin?.on('error', (error) => this.stderr.push(`(standard input: ${error.message})`))
    this.process.stdin?.end(input)
    for (const from of ['stdout', 'stderr'] as const) {
      createInterface({ input: this.process[from] as Readable }).on('line', (line) => {
        this[from].push(line)
        online?.(line, from)
        this.#look()
      })
    }
    this.ended = new Promise((resolve) => {
      this.process.on('error', (error) => {
        this.#failure = error
      })
      this.process.once('close', (code, signal) => {
        this.#exit = { code, signal }
        resolve(this.#exit)
        this.#look()
      })
    })
  }

  /** null while it runs */
  get exit(): Exit | null {
    return this.#exit
  }

  /**
   * Resolves with the first value that `look` finds, which is asked now and at each further line. Rejects, naming
   * `what`, when the process ends without it, or at the deadline.
   */
  until<T>(what: string, look: (child: this) => T | undefined, deadline = 30_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (then: () => void) => {
        clearTimeout(timer)
        this.#waiting.delete(ask)
        then()
      }
      const ask = () => {
        const found = look(this)
        if (found !== undefined) settle(() => resolve(found))
        else if (this.#exit !== null) settle(() => reject(this.#error(`ended (${this.#how()}) before ${what}`)))
      }
      const timer = setTimeout(
        () => settle(() => reject(this.#error(`did not come to ${what} within ${deadline / 1000} s`))),
        deadline,
      )
      this.#waiting.add(ask)
      ask()
    })
  }

  /** Sends a signal, if it still runs, and resolves when it has ended; one that does not end is killed. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', deadline = 10_000): Promise<Exit> {
    if (this.#exit !== null) return this.#exit
    this.process.kill(signal)
    const timer = setTimeout(() => this.process.kill('SIGKILL'), deadline)
    const exit = await this.ended
    clearTimeout(timer)
    return exit
  }

  #look(): void {
    for (const ask of [...this.#waiting]) ask()
  }

  #how(): string {
    if (this.#failure !== null) return this.#failure.message
    return this.#exit?.signal ?? `status ${this.#exit?.code}`
  }

  #error(what: string): Error {
    const said = [...this.stdout, ...this.stderr].slice(-20).map((line) => `\n  ${line}`)
    return new Error(`${this.name} ${what}${said.length > 0 ? `; it said:${said.join('')}` : ''}`)
  }
}
