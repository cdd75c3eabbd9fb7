/** Whether this machine lets us make networks. */
import { describe, test } from '@jest/globals'
import { find, pathTo, run } from '../../bench/network/system.ts'

/** What the laboratory needs: program, and its package in Debian. */
const NEEDED = { ip: 'iproute2', tc: 'iproute2', nft: 'nftables' } as const
type Program = keyof typeof NEEDED

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
