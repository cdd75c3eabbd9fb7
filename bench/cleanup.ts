/** What is undone when the bench ends before its time, by an error or Ctrl-C: nothing it started is left. */
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const undone = new Set<() => void>()
let folder: string | null = null

process.on('exit', () => {
  for (const undo of [...undone].toReversed()) undo()
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

/** Calls `undo`, which must not wait for anything, when this process ends, unless the function it returns was called. */
export function undoAtExit(undo: () => void): () => void {
  undone.add(undo)
  return () => {
    undone.delete(undo)
  }
}

/** A child that does not outlive this process. */
export function owned<C extends ChildProcess>(child: C): C {
  child.once(
    'exit',
    undoAtExit(() => child.kill('SIGKILL')),
  )
  return child
}

/** A new folder below the one of this run, which is removed in the end. */
export function temporaryFolder(name: string): string {
  if (folder === null) {
    const made = mkdtempSync(join(tmpdir(), 'nearport-bench-'))
    folder = made
    undoAtExit(() => rmSync(made, { recursive: true, force: true, maxRetries: 3 }))
  }
  return mkdtempSync(join(folder, `${name}-`))
}
