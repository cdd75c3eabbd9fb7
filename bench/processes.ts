/** CPU and memory of the processes a contender is made of, their children included. Linux only. */
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'

/** As getconf CLK_TCK says on every Linux. */
const TICKS_PER_SECOND = 100

export const canMeasure = (): boolean => existsSync('/proc/self/stat')

interface Stat {
  readonly pid: number
  readonly parent: number
  /** seconds, of all threads */
  readonly cpu: number
}

/** null: it is gone. */
async function stat(pid: number): Promise<Stat | null> {
  const text = await read(`/proc/${pid}/stat`)
  if (text === null) return null
  // The name before may have spaces in it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[11]) + Number(fields[12])
  return { pid, parent: Number(fields[1]), cpu: ticks / TICKS_PER_SECOND }
}

/** These processes, and their children. */
async function trees(roots: readonly number[]): Promise<Stat[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const all = (await Promise.all(pids.map((pid) => stat(Number(pid))))).filter((found) => found !== null)
  const found = all.filter(({ pid }) => roots.includes(pid))
  for (const parent of found)
    found.push(...all.filter((child) => child.parent === parent.pid && !found.includes(child)))
  return found
}

/** Seconds of CPU that they have used so far. */
export async function cpuSeconds(roots: readonly number[]): Promise<number> {
  return (await trees(roots)).reduce((sum, { cpu }) => sum + cpu, 0)
}

/** bytes that are resident now, of all of them together */
export const residentBytes = (roots: readonly number[]): Promise<number> => sum(roots, 'VmRSS')

/** bytes: the most that was resident since {@link forgetPeaks} */
export const peakBytes = (roots: readonly number[]): Promise<number> => sum(roots, 'VmHWM')

export async function forgetPeaks(roots: readonly number[]): Promise<void> {
  await Promise.all((await trees(roots)).map(({ pid }) => writeFile(`/proc/${pid}/clear_refs`, '5')))
}

async function sum(roots: readonly number[], field: string): Promise<number> {
  const texts = await Promise.all((await trees(roots)).map(({ pid }) => read(`/proc/${pid}/status`)))
  const pattern = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm')
  return texts.reduce((total, text) => total + Number(pattern.exec(text ?? '')?.[1] ?? 0) * 1024, 0)
}

async function read(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return null
    throw error
  }
}
