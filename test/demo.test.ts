/** `npm run demo -- --once`, as a newcomer runs it. */

import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from '@jest/globals'
import { Child } from '../peer/demo/child.ts'
import { exchange } from './support/tcp.ts'
import { ENGINES } from './support/tunnel.ts'

const DEMO = fileURLToPath(new URL('../dist/peer/demo/demo.js', import.meta.url))

const running: Child[] = []

afterEach(async () => {
  for (const child of running.splice(0)) await child.stop()
})

/** From a first port of its own, as the usual ones may be those of a demo that somebody watches. */
async function start(...args: string[]): Promise<Child> {
  if (!existsSync(DEMO)) throw new Error(`${DEMO} is missing: run "npm run build" first`)
  const child = new Child('demo', [DEMO, '--first-port', String(await freePort()), ...args])
  running.push(child)
  return child
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return Math.min(address.port, 65_000)
}

/** All lines said for a printer. */
const printed = (lines: readonly string[], name: string) => lines.filter((line) => line.includes(`[printer ${name}]`))

describe.each(ENGINES)('%s', (engine) => {
  test('prints each receipt at its own printer, says the path, and ends with 0', async () => {
    const demo = await start('--once', '--engine', engine)
    const { code } = await demo.ended
    expect(demo.stderr).toEqual([])
    expect(code).toBe(0)
    for (const [name, other] of [
      ['pc1', 'pc2'],
      ['pc2', 'pc1'],
    ] as const) {
      const lines = printed(demo.stdout, name).join('\n')
      expect(lines).toMatch(new RegExp(`Receipt for ${name}\\n[^]*job of \\d+ bytes printed`))
      expect(lines).not.toContain(`Receipt for ${other}`)
      expect(demo.stdout.join('\n')).toMatch(new RegExp(`The printer answered: OK ${name} \\d+ bytes`))
    }
    expect(demo.stdout.join('\n')).toMatch(new RegExp(`The path taken: host \\S+ to \\w+ \\S+, ${engine} engine`))
  })
})

test('stays for more receipts until Ctrl-C, and leaves no process behind', async () => {
  const demo = await start()
  const [, host = '', port = ''] = await demo.until('how to send more', ({ stdout }) =>
    stdout.map((line) => /Hello pc2\\n' \| nc -N (\S+) (\d+)/.exec(line)).find((found) => found !== null),
  )
  expect(host).toBe('127.0.0.1')
  expect((await exchange(Number(port), 'Hello \x1b[31mpc2\n')).toString()).toBe('OK pc2 15 bytes\n')
  const more = await demo.until('the receipt', ({ stdout }) =>
    printed(stdout, 'pc2').find((line) => /Hello/.test(line)),
  )
  expect(more).not.toContain('\x1b')
  expect(await demo.stop('SIGINT')).toEqual({ code: 0, signal: null })
  await expect(exchange(Number(port), 'x')).rejects.toThrow('ECONNREFUSED')
})

test('says what is wrong, with exit status 1, when a part cannot start', async () => {
  const taken = createServer().listen(65_535, '127.0.0.1')
  await once(taken, 'listening')
  const demo = await start('--once', '--first-port', '65535')
  expect((await demo.ended).code).toBe(1)
  expect(demo.stderr.join('\n')).toMatch(/^nearport demo: access peer ended \(status 2\).*no port from 65535 to 65535/s)
  taken.close()
})
