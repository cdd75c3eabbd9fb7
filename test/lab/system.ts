/** Programs of the system that make networks, and whether this machine lets us use them. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { describe, test } from '@jest/globals'

/** What the laboratory needs: program, and its package in Debian. */
const NEEDED = { ip: 'iproute2', tc: 'iproute2', nft: 'nftables' } as const
type Program = keyof typeof NEEDED

/** Runs a program to its end; rejects with what it said if that was not 0. Returns its standard output. */
export async function run(program: Program, args: readonly string[], input?: string): Promise<string> {
  const ended = promisify(execFile)(pathTo(program), [...args])
  ended.child.stdin?.end(input)
  try {
    return (await ended).stdout
  } catch (error) {
    const { message, stderr = '' } = error as Error & { stderr?: string }
    throw new Error(`${program} ${args.join(' ')}: ${stderr.trim() || message}${input ? `; it read:\n${input}` : ''}`)
  }
}

/** The full path if there is one: the folders of system programs are often not in a user's PATH. */
export const pathTo = (program: Program): string => find(program) ?? program

function find(program: Program): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return folders.map((folder) => join(folder, program)).find(existsSync)
}

/** Why there can be no laboratory here, or null. Where CI is set, only the lack of root is a reason. */
async function whyNoLab(): Promise<string | null> {
  if (process.platform !== 'linux') return 'needs Linux'
  if (process.getuid?.() !== 0) return 'needs root'
  try {
    const missing = (Object.keys(NEEDED) as Program[]).filter((program) => find(program) === undefined)
    if (missing.length > 0) {
      const packages = [...new Set(missing.map((program) => NEEDED[program]))]
      throw new Error(`needs ${missing.join(', ')}: apt-get install ${packages.join(' ')}`)
    }
    await tryNetwork()
    return null
  } catch (error) {
    if (process.env.CI) throw error
    return error instanceof Error ? error.message : String(error)
  }
}

/** Root in a container may still not make networks. */
async function tryNetwork(): Promise<void> {
  const name = `nplab-${process.pid}-try`
  await run('ip', ['netns', 'add', name])
  try {
    await run('ip', ['netns', 'exec', name, pathTo('nft'), '-f', '-'], 'table inet try {\n}\n')
  } finally {
    await run('ip', ['netns', 'del', name])
  }
}

const reason = await whyNoLab()

/** describe() for tests in the laboratory; where there can be none they are skipped, with the reason. */
export function describeLab(title: string, body: () => void): void {
  if (reason === null) {
    describe(title, body)
  } else {
    // jest does not print the titles of skipped tests where it runs several files.
    process.stderr.write(`skipped: ${title} (${reason})\n`)
    test.skip(`${title} (${reason})`, () => undefined)
  }
}
