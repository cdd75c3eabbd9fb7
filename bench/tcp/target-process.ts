/** A {@link Target} in a process of its own. Run as a program it is that process; its parent ends it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { owned } from '../cleanup.ts'
import { Target } from './target.ts'

const FILE = fileURLToPath(import.meta.url)

/**
 * Keeps the memory of what was read instead of giving it back to the system each time, which costs more than all else
 * there is to receiving. A target is to be no burden for what is measured. (Of glibc; others ignore it.)
 */
const KEEP_MEMORY = { MALLOC_TRIM_THRESHOLD_: '1000000000', MALLOC_MMAP_THRESHOLD_: '1000000000' }

export class TargetProcess {
  readonly port: number
  readonly #process: ChildProcess

  private constructor(process: ChildProcess, port: number) {
    this.#process = process
    this.port = port
  }

  /** `launch`: the words before the program that make it run elsewhere, such as "ip netns exec NAME". */
  static async start(launch: readonly string[] = [], host = '127.0.0.1'): Promise<TargetProcess> {
    const [program = '', ...words] = [...launch, process.execPath, FILE, host]
    const env = { ...process.env, ...KEEP_MEMORY }
    const child = owned(spawn(program, words, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }))
    const [port] = await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`the target ended with ${code}`))),
    ])
    return new TargetProcess(child, port as number)
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.disconnect()
    await exited
  }
}

if (process.argv[1] === FILE) {
  const { port } = await Target.start(process.argv[2])
  process.on('disconnect', () => process.exit())
  process.send?.(port)
}
