/** Loads on connections that begin in a process elsewhere, such as in a network namespace. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { owned } from '../cleanup.ts'
import { firstBytes, rateDown } from './load.ts'

const FILE = fileURLToPath(import.meta.url)

type Order = { readonly rateDown: Parameters<typeof rateDown> } | { readonly firstBytes: Parameters<typeof firstBytes> }
type Answer = { readonly result: number | number[] } | { readonly error: string }

/** Does one thing at a time. */
export class ClientProcess {
  readonly #process: ChildProcess

  constructor(launch: readonly string[]) {
    const [program = '', ...words] = [...launch, process.execPath, FILE]
    this.#process = owned(spawn(program, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }))
  }

  async rateDown(...args: Parameters<typeof rateDown>): Promise<number> {
    return (await this.#ask({ rateDown: args })) as number
  }

  async firstBytes(...args: Parameters<typeof firstBytes>): Promise<number[]> {
    return (await this.#ask({ firstBytes: args })) as number[]
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.disconnect()
    await exited
  }

  async #ask(order: Order): Promise<number | number[]> {
    const answered = once(this.#process, 'message')
    this.#process.send(order)
    const [answer] = (await answered) as [Answer]
    if ('error' in answer) throw new Error(answer.error)
    return answer.result
  }
}

async function obey(order: Order): Promise<Answer> {
  try {
    return { result: await ('rateDown' in order ? rateDown(...order.rateDown) : firstBytes(...order.firstBytes)) }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}

if (process.argv[1] === FILE) {
  process.on('message', async (order: Order) => process.send?.(await obey(order)))
  process.on('disconnect', () => process.exit())
}
