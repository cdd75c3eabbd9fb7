/** The load of the bench, small: peers stay, others come, are answered and go, and the server is measured. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'

test('the load gives a figure for each thing it measures', async () => {
  const bench = fileURLToPath(new URL('../dist/bench/signaling-load.js', import.meta.url))
  const args = [bench, '--peers', '12', '--exchanges', '8', '--idle-seconds', '0.1']
  const { stdout } = await promisify(execFile)(process.execPath, args)
  const rows = stdout.trim().split('\n').slice(2)
  expect(rows).toHaveLength(7)
  for (const row of rows) expect(row).toMatch(/^\| [^|]+ \| \d+(\.\d)? [^|]+ \|$/)
})
