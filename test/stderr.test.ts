/** What a process writes to stderr, whatever it is that writes. */
import { join } from 'node:path'
import { Child } from '../peer/demo/child.ts'
import { parseInvite } from '../shared/invite.ts'
import { closeTestSignaling, temporaryFolder } from './support/signaling.ts'
import { exchange, readAll, TcpTarget } from './support/tcp.ts'
import { CLI, ENGINES, type Network, startNetwork } from './support/tunnel.ts'

afterEach(closeTestSignaling)

/** Each line as a program reads it; throws for one that is not JSON. */
const parsed = (lines: readonly string[]) => lines.map((line) => JSON.parse(line) as Record<string, unknown>)

/** A script that does this once the process has printed its first result. */
const onceUp = (script: string) => `const write = process.stdout.write
  process.stdout.write = (...values) => {
    setImmediate(() => { ${script} })
    return write.apply(process.stdout, values)
  }`

/** Runs `nearport` with something that a library might do before it. */
async function run(noise: string, ...words: string[]) {
  const home = join(await temporaryFolder(), 'home')
  const env = { NEARPORT_HOME: home, NEARPORT_LINK: undefined, DEBUG: '*' }
  const child = new Child(
    words.join(' '),
    ['--import', `data:text/javascript,${encodeURIComponent(noise)}`, CLI, ...words],
    { env },
  )
  const { code } = await child.ended
  return { code, ...child }
}

const signal = ['--log-json', 'signal', '--listen', '127.0.0.1:0', '--stun-port', '0']

describe('with --log-json stderr is JSON', () => {
  test.each<[string, string[], string]>([
    ['an option that there is not', ['--log-json', 'overview', '--bogus'], 'usage'],
    ['an option of the program that there is not', ['--bogus', '--log-json', 'overview'], 'usage'],
    ['a command that fails', ['--log-json', 'overview'], 'not-enabled'],
  ])('for %s', async (_what, words, code) => {
    const { code: status, stdout, stderr } = await run('', ...words)
    expect({ status, stdout }).toEqual({ status: 2, stdout: [] })
    expect(parsed(stderr)).toContainEqual(expect.objectContaining({ level: 50, code }))
  })

  test('for what libraries write to the console, and what Node warns of', async () => {
    const noise = `for (const level of ['debug', 'log', 'info', 'warn', 'error', 'trace']) console[level]('noise of %s', level)
      process.emitWarning('noise of Node')
      setImmediate(() => process.kill(process.pid, 'SIGTERM'))`
    const { code, stdout, stderr } = await run(onceUp(noise), ...signal)
    expect({ code, stdout }).toEqual({ code: 0, stdout: [expect.stringContaining('nearport enable')] })
    const lines = parsed(stderr)
    for (const level of ['log', 'info', 'warn', 'error']) {
      expect(lines).toContainEqual(expect.objectContaining({ from: 'console', msg: `noise of ${level}` }))
    }
    expect(lines).toContainEqual(expect.objectContaining({ from: 'node', msg: 'noise of Node' }))
  })

  test('for a failure that nothing handles, which ends the process', async () => {
    const { code, stderr } = await run(onceUp(`throw new Error('of a library')`), ...signal)
    expect(code).toBe(1)
    const err = expect.objectContaining({ message: 'of a library', stack: expect.stringContaining('Error') })
    expect(parsed(stderr)).toContainEqual(expect.objectContaining({ msg: 'the process failed', err }))
  })

  test('without it, an error is words', async () => {
    const { stderr } = await run('', 'overview')
    expect(stderr.join('\n')).toMatch(/^nearport: .* \(not-enabled\)\n {2}next: /)
  })
})

const onLinux = process.platform === 'linux' ? test : test.skip

onLinux.each([
  ['as words', []],
  ['as JSON', ['--log-json']],
])('a log on a full disk, %s, ends nothing', async (_how, flags) => {
  const home = join(await temporaryFolder(), 'home')
  const words = [...flags, 'signal', '--listen', '127.0.0.1:0', '--stun-port', '0']
  const env = { NEARPORT_HOME: home, NEARPORT_LINK: undefined }
  const full = ['-c', 'exec "$@" 2>/dev/full', '-', process.execPath, CLI, ...words]
  const child = new Child('signal', full, { program: 'sh', env })
  const line = await child.until('its link', ({ stdout }) => stdout[0])
  const { url } = parseInvite(line.replace('nearport enable ', ''))
  expect((await fetch(new URL('healthz', url))).status).toBe(200)
  expect((await child.stop('SIGTERM')).code).toBe(0)
})

describe('with DEBUG in the environment', () => {
  let network: Network
  afterEach(() => network.stop())

  test.each(ENGINES)('%s carries a job, and nothing gets past the log', async (engine) => {
    network = await startNetwork()
    const printer = await TcpTarget.start(async (socket) => {
      socket.end(`printed ${await readAll(socket)}`)
    })
    const env = { DEBUG: '*' }
    const share = await network.share({ pc1: printer.address }, { engine, env })
    const access = await network.access(['pc1'], { engine, env })
    expect((await exchange(access.ports.pc1 ?? 0, 'job')).toString()).toBe('printed job')
    for (const { child } of [share, access]) expect(parsed(child.stderr).length).toBeGreaterThan(0)
    await printer.off()
  })
})
