/** Programs of the system that make networks. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

/** Runs a program to its end; rejects with what it said if that was not 0. Returns its standard output. */
export async function run(program: string, args: readonly string[], input?: string): Promise<string> {
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
export const pathTo = (program: string): string => find(program) ?? program

export function find(program: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/sbin']
  return folders.map((folder) => join(folder, program)).find(existsSync)
}
