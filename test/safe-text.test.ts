/** Words of others on a terminal, in a log or on a page: what could steer these never gets there. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { WebSocketServer } from 'ws'
import { failed, formatFinding } from '../peer/doctor/report.ts'
import { toBase64Url } from '../shared/bytes.ts'
import { encodeControl, parseControl } from '../shared/control.ts'
import { randomBytes } from '../shared/crypto.ts'
import { NearportError } from '../shared/errors.ts'
import { safeStack, safeText } from '../shared/safe-text.ts'
import { muxPair, settle, sink } from './support/mux-pair.ts'
import { sourceFiles } from './support/sources.ts'
import { type Network, startNetwork } from './support/tunnel.ts'

const run = promisify(execFile)
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u
/** It colours, renames the window by a C1 character, ends the line, turns the direction, and is no character at the end. */
const HOSTILE = '\u001b[31mred\u009d0;title\u0007\n\u2028\u202egnirts\u2066\u200b\u00ad\ufeff\u{e0041}\ud800'
const SHOWN = '\ufffd[31mred\ufffd0;title\ufffd  \ufffdgnirts\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd'

/** What a terminal is given, but for the ends of its lines. */
const lines = (output: string): string => output.replaceAll('\n', '')

test('every control, format and separator character is replaced, and every other one stays', () => {
  for (let code = 0; code <= 0x10ffff; code++) {
    const character = String.fromCodePoint(code)
    const shown = safeText(`a${character}b`)
    if (UNSAFE.test(character)) expect([`a b`, 'a\ufffdb']).toContain(shown)
    else if (shown !== `a${character}b`) throw new Error(`U+${code.toString(16)} was replaced`)
  }
  expect(safeText(HOSTILE)).toBe(SHOWN)
})

test('the stack of an error keeps its lines, and none that its message makes', () => {
  const [first, second, ...more] = safeStack(new Error(`a\nb ${HOSTILE}`).stack ?? '').split('\n')
  expect(first).toBe(`Error: a b ${SHOWN}`)
  expect([second, ...more].every((line) => line?.startsWith('    at '))).toBe(true)
})

test('the text of a RESET is safe where doctor, a log or a page shows it', async () => {
  const { access, accepted } = muxPair()
  const near = access.open()
  const { reset } = sink(near)
  expect(reset).toBeNull()
  const refused = new Promise<NearportError>((resolve) => {
    near.onreset = resolve
  })
  near.write(new Uint8Array(1))
  await settle()
  accepted[0]?.reset('target-refused', HOSTILE.slice(0, -1))
  await settle()
  const { message } = await refused
  expect(message).toBe(SHOWN.slice(0, -1))
  expect(lines(formatFinding(failed('target', await refused)))).not.toMatch(UNSAFE)
})

test('what doctor finds is safe whoever it is from', () => {
  const finding = { check: 'link', status: 0, code: null, says: HOSTILE, next: HOSTILE } as const
  expect(lines(formatFinding(finding))).not.toMatch(UNSAFE)
})

test('the words of a link that ends, or of a share that is closed, are an error like any other', () => {
  const bye = parseControl(encodeControl({ type: 'bye', code: 'shutting-down', message: HOSTILE.slice(0, -1) }))
  if (bye.type !== 'bye') throw new Error('no bye')
  expect(new NearportError(bye.code, bye.message).message).toBe(SHOWN.slice(0, -1))
})

describe.each(['json', 'pretty'])('a log that is %s', (form) => {
  test('has nothing in it that could steer a terminal', async () => {
    const log = fileURLToPath(new URL('../dist/peer/log.js', import.meta.url))
    const program = `
      import { makeLog } from ${JSON.stringify(log)}
      const hostile = ${JSON.stringify(HOSTILE)}
      const log = makeLog({ level: 'debug', json: ${form === 'json'} })
      const err = Object.assign(new Error(hostile, { cause: new Error(hostile) }), { hint: hostile })
      log.info({ reason: hostile, nested: { list: [hostile] } }, hostile)
      log.warn({ err, other: err }, 'failed')
    `
    const { stderr } = await run(process.execPath, ['--input-type=module', '--eval', program])
    expect(stderr).toContain('gnirts')
    expect(lines(stderr)).not.toMatch(UNSAFE)
    // Nor does a program find it that reads the JSON.
    if (form === 'json') {
      const values: unknown[] = []
      for (const line of stderr.trim().split('\n')) {
        JSON.parse(line, (key, value) => {
          if (typeof value === 'string') values.push(key === 'stack' ? lines(value) : value)
          return value
        })
      }
      for (const value of values) expect(value).not.toMatch(UNSAFE)
      expect(values).toContain(SHOWN)
    }
  })
})

describe('a server that refuses in bad words', () => {
  let network: Network
  let server: WebSocketServer
  beforeAll(async () => {
    network = await startNetwork()
    server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    await once(server, 'listening')
    server.on('connection', (socket) => {
      socket.send(JSON.stringify({ type: 'refused', request: null, code: 'server-busy', message: HOSTILE }))
      socket.close()
    })
  })
  afterAll(async () => {
    await network?.stop()
    server?.close()
  })

  test.each(['doctor', 'doctor --json', 'overview', 'share private 127.0.0.1:9100'])(
    'is quoted in safe ones by nearport %s',
    async (words) => {
      const link = `http://127.0.0.1:${(server.address() as AddressInfo).port}/#${toBase64Url(randomBytes(32))}`
      const { stdout, stderr } = await network.run('other', words.split(' '), { env: { NEARPORT_LINK: link } })
      expect(stdout + stderr).toContain('gnirts')
      expect(lines(stdout + stderr)).not.toMatch(UNSAFE)
      if (words.includes('--json')) expect(JSON.stringify(JSON.parse(stdout))).not.toMatch(/\\u/)
    },
  )
})

/** How often each file shows something, and why that is safe. */
const PLACES: Readonly<Record<string, readonly [number, string]>> = {
  'cli.ts': [4, 'the version; what the user typed; a NearportError; a stack made safe'],
  'peer/log.ts': [0, 'makes every field and message safe'],
  'peer/commands/access.ts': [1, 'names and ports that were parsed'],
  'peer/commands/doctor.ts': [3, 'strings made safe; findings made safe; a token of our own'],
  'peer/commands/environment.ts': [5, 'a URL that was parsed; names and codes that a schema let in'],
  'peer/commands/identity.ts': [3, 'fingerprints; a file that the user named'],
  'peer/commands/shares.ts': [3, 'names and targets that were parsed'],
  'peer/commands/trust.ts': [4, 'names that were parsed; fingerprints'],
  'peer/demo/demo.ts': [2, 'what its own processes print; a NearportError'],
  'peer/demo/printer.ts': [3, 'its own words; the lines of a job, made safe'],
  'signaling/command.ts': [1, 'the link of this server'],
  'web/browser/connect.ts': [
    4,
    'fields of our logs, of which the words of others are NearportErrors; a browser shows them as values',
  ],
}

test('nothing is shown anywhere else', () => {
  const found: Record<string, number> = {}
  for (const [path, text] of sourceFiles()) {
    if (/^(test|bench)\//.test(path)) continue
    const shown =
      text.match(/\bstd(?:out|err)\.write\(|\bconsole\.\w+\(|\binnerHTML\b|\bdocument\.write\b/g)?.length ?? 0
    if (shown > 0) found[path] = shown
  }
  const listed = Object.entries(PLACES).filter(([, [count]]) => count > 0)
  expect(found).toEqual(Object.fromEntries(listed.map(([path, [count]]) => [path, count])))
})
