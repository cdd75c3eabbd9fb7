/** describe() for tests that need root on Linux; elsewhere they are skipped, with the reason. */
import { describe, test } from '@jest/globals'

/** What a test needs beside root; throws where this machine does not have it. */
type Need = () => void

export function describeAsRoot(title: string, body: () => void, need: Need = () => undefined): void {
  const reason = whyNot(need)
  if (reason === null) {
    describe(title, body)
  } else {
    // jest does not print the titles of skipped tests where it runs several files.
    process.stderr.write(`skipped: ${title} (${reason})\n`)
    test.skip(`${title} (${reason})`, () => undefined)
  }
}

/** Where CI is set, only the lack of root is a reason. */
function whyNot(need: Need): string | null {
  if (process.platform !== 'linux') return 'needs Linux'
  if (process.getuid?.() !== 0) return 'needs root'
  try {
    need()
    return null
  } catch (error) {
    if (process.env.CI) throw error
    return error instanceof Error ? error.message : String(error)
  }
}
