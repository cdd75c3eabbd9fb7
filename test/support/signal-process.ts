/** A signaling server as a process of its own, which a test can kill. Needs `npm run build`. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { toBase64Url } from '../../shared/bytes.ts'
import type { Bytes } from '../../shared/crypto.ts'

const children: ChildProcess[] = []

/** For afterEach. */
export function killSignalProcesses(): void {
  for (const child of children.splice(0)) child.kill('SIGKILL')
}

export async function startSignalProcess(
  folder: string,
  key: Bytes,
): Promise<{ url: string; kill: () => Promise<void> }> {
  const script = fileURLToPath(new URL('signal-process.mjs', import.meta.url))
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, folder], {
    env: { ...process.env, NEARPORT_KEY: toBase64Url(key) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const exited = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })
  const [url] = await Promise.race([
    once(lines, 'line'),
    exited.then(([status]) => Promise.reject(new Error(`the server ended with status ${status}`))),
  ])
  return {
    url: String(url),
    kill: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
}
