/** What the commands say and end with, as programs and people see it. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { fromBase64Url } from '../shared/bytes.ts'
import { ERRORS, type ErrorCode } from '../shared/errors.ts'
import { exchange, readAll, TcpTarget } from './support/tcp.ts'
import { CLI, type Network, type Result, type RunOptions, startNetwork } from './support/tunnel.ts'

let network: Network
let target: TcpTarget
/** HOST:PORT where nobody listens */
let closedAddress: string

beforeAll(async () => {
  network = await startNetwork()
  target = await TcpTarget.start(async (socket) => {
    socket.end(await readAll(socket))
  })
  const free = await TcpTarget.start((socket) => socket.destroy())
  closedAddress = free.address
  await free.off()
  await network.succeed('share', ['reserve', 'private', target.address, '--unique-name', 'printer'])
})

afterAll(async () => {
  await network?.stop()
  await target?.off()
})

/** The error a command ends with: its code, its status, and how it is written. */
async function refused(home: string, args: readonly string[], options?: RunOptions): Promise<Result> {
  const result = await network.run(home, args, options)
  const code = /\(([a-z-]+)\)$/m.exec(result.stderr)?.[1] ?? 'none'
  if (!Object.hasOwn(ERRORS, code)) throw new Error(`no error was named: ${JSON.stringify(result)}`)
  const { exit, next } = ERRORS[code as ErrorCode]
  expect(result).toMatchObject({ code: exit, stdout: '', signal: null })
  expect(result.stderr).toMatch(/^nearport: .{8,}\(/m)
  expect(result.stderr).toContain(`\n  next: ${next}`)
  return result
}

async function expectError(code: ErrorCode, home: string, args: readonly string[], says: RegExp): Promise<void> {
  const { stderr } = await refused(home, args)
  expect(stderr).toContain(`(${code})`)
  expect(stderr).toMatch(says)
}

describe('names', () => {
  test.each(['ab', 'PC1', '-pc', 'pc_1', 'drücker', 'a'.repeat(64), ''])('"%s" is malformed', async (name) => {
    const args = ['reserve', 'private', target.address, `--unique-name=${name}`]
    await expectError('name-malformed', 'share', args, new RegExp(`"${name}"`))
  })

  test.each([
    ['share', 'private', '127.0.0.1:9100', '-n', 'pc_1'],
    ['share', 'reserved', 'pc1', 'pc_1'],
    ['access', 'private', 'pc_1', '--bind', '127.0.0.1:0'],
    ['release', 'pc_1'],
  ])('%s %s refuses one that is malformed', async (...args) => {
    await expectError('name-malformed', 'share', args, /"pc_1"/)
  })

  test('one that another environment reserved is taken, and only that one releases it', async () => {
    const taken = /"?printer"?/
    await expectError('name-taken', 'access', ['reserve', 'private', target.address, '-n', 'printer'], taken)
    await expectError('name-taken', 'access', ['share', 'private', target.address, '-n', 'printer'], taken)
    await expectError('not-owner', 'access', ['release', 'printer'], taken)
    // The refusals left nothing behind.
    await expectError('not-reserved-here', 'access', ['share', 'reserved', 'printer'], taken)
  })

  test('one that nobody knows is said to be unknown', async () => {
    await expectError('name-unknown', 'access', ['access', 'private', 'ghost', '--bind', '127.0.0.1:0'], /"ghost"/)
    await expectError('name-unknown', 'share', ['release', 'ghost'], /ghost/)
    await expectError('not-reserved-here', 'share', ['share', 'reserved', 'ghost'], /"ghost"/)
  })

  test('reserve may be repeated, for another target', async () => {
    const reserve = ['reserve', 'private', '192.0.2.1:9100', '--unique-name', 'twice']
    expect(await network.succeed('share', reserve)).toBe('reserved twice for 192.0.2.1:9100')
    expect(await network.succeed('share', reserve.with(2, '192.0.2.2:9100'))).toBe('reserved twice for 192.0.2.2:9100')
    const { shares } = JSON.parse(await network.succeed('share', ['overview', '--json']))
    expect(shares).toContainEqual({
      name: 'twice',
      online: false,
      reserved: true,
      mode: 'tcpTunnel',
      own: true,
      owner: await network.succeed('share', ['identity', 'show']),
      trust: 'new',
      target: '192.0.2.2:9100',
      health: null,
    })
    expect(await network.succeed('share', ['release', 'twice'])).toBe('released twice')
  })

  test('one is made when none is given', async () => {
    const said = await network.succeed('share', ['reserve', 'private', target.address])
    const [, name = ''] = /^reserved ([a-z0-9]{12}) for /.exec(said) ?? []
    await network.succeed('share', ['release', name])
  })

  test('a newer process that serves a name ends the older one', async () => {
    const older = await network.share({ printer: target.address })
    const newer = await network.share({ printer: target.address })
    expect((await older.child.ended).code).toBe(ERRORS.displaced.exit)
    expect(older.log.at(-1)).toMatchObject({ msg: 'the command failed', code: 'displaced' })
    const access = await network.access(['printer'])
    expect((await exchange(access.ports.printer ?? 0, 'x')).toString()).toBe('x')
    await Promise.all([newer.stop(), access.stop()])
  })
})

describe('addresses', () => {
  test.each(['printer', 'host:0', 'host:65536', '::1:9100', '1.2.3:9100', '-x:1', ''])(
    'the target "%s" is refused',
    async (text) => {
      const args = ['reserve', 'private', '-n', 'abc', '--', text]
      await expectError('target-invalid', 'share', args, new RegExp(`"${text}"`))
    },
  )

  test('share private refuses a target before it serves it', async () => {
    await expectError('target-invalid', 'share', ['share', 'private', '-n', 'abc', 'host:0'], /"host:0"/)
  })

  test.each([
    [['printer'], 'no --bind for printer'],
    [['printer', '--bind', '9901'], '"9901" is not HOST:PORT'],
    [['printer', '--bind', '::1:9901'], 'needs brackets'],
    [['printer', '--bind', 'other=127.0.0.1:0'], 'not accessed'],
    [['printer', 'second', '--bind', '127.0.0.1:0'], 'must say which name'],
    [['printer', '--bind', '127.0.0.1:0', '--bind', 'printer=127.0.0.1:0'], 'twice for "printer"'],
    [['printer', 'second', '--bind', 'printer=127.0.0.1:0'], 'no --bind for second'],
    [['printer', '--auto', '--auto-start-port', '9950', '--auto-end-port', '9902'], '9950 is after'],
    [['printer', '--auto', '--auto-address', 'no/host'], 'no valid host'],
  ])('access private %j is refused', async (args, says) => {
    await expectError('bind-invalid', 'access', ['access', 'private', ...args], new RegExp(says))
  })

  test('a bind that is taken, or of another machine, is said to be so', async () => {
    const bind = (address: string) => ['access', 'private', 'printer', '--bind', address]
    await expectError('bind-taken', 'access', bind(target.address), new RegExp(`${target.address} is in use`))
    await expectError('bind-failed', 'access', bind('192.0.2.1:9901'), /192\.0\.2\.1:9901.*no such address/)
  })

  test('--auto steps over ports that are taken, and says when there is none', async () => {
    const [first, last] = [String(target.port), String(Math.min(target.port + 50, 65_535))]
    const args = ['access', 'private', 'printer', '--auto', '--auto-start-port', first]
    await expectError(
      'no-free-port',
      'access',
      [...args, '--auto-end-port', first],
      /no port from .* free for "printer"/,
    )
    const access = network.start('access', [...args, '--auto-end-port', last])
    const port = await access.until(
      'its port',
      ({ stdout }) => /^printer 127\.0\.0\.1:(\d+)$/.exec(stdout[0] ?? '')?.[1],
    )
    expect(Number(port)).toBeGreaterThan(target.port)
    await access.stop()
  })

  test('a name that is offline may be accessed, and IPv6 bound', async () => {
    const access = network.start('access', ['access', 'private', 'printer', '--bind', '[::1]:0', '--json'])
    const printed = await access.until('its port', ({ stdout }) => stdout[0])
    expect(JSON.parse(printed)).toEqual({ binds: [{ name: 'printer', bind: expect.stringMatching(/^\[::1\]:\d+$/) }] })
    expect((await access.stop()).code).toBe(0)
  })
})

describe('the link', () => {
  const otherKey = randomBytes(32).toString('base64url')

  test('a wrong key is refused, and leaves no environment behind', async () => {
    await expectError('admission-refused', 'wrong', ['enable', `${network.url}#${otherKey}`], /nearport: /)
    await expectError('not-enabled', 'wrong', ['overview'], /not enabled/)
  })

  test('a server that is not there may come: status 1', async () => {
    const link = `http://${closedAddress}/#${otherKey}`
    await expectError('server-unreachable', 'nowhere', ['enable', link], new RegExp(closedAddress))
    await expectError('not-enabled', 'nowhere', ['overview'], /not enabled/)
    const { code, stderr } = await network.run('nowhere', ['overview'], { env: { NEARPORT_LINK: link } })
    expect(code).toBe(1)
    expect(stderr).toContain('(server-unreachable)')
  })

  test.each([
    ['nonsense', 'not a URL'],
    ['ftp://127.0.0.1/#KEY', 'http://'],
    ['http://127.0.0.1:7070/', 'lacks the key'],
    ['http://127.0.0.1:7070/#short', '32 bytes'],
    ['http://user:word@127.0.0.1/#KEY', 'no user'],
  ])('enable refuses %s', async (text, says) => {
    await expectError('link-invalid', 'wrong', ['enable', text.replace('KEY', otherKey)], new RegExp(says))
  })

  test('enable reads it from standard input, also as the whole line that signal printed', async () => {
    for (const [home, input] of [
      ['piped', `${network.link}\n`],
      ['pasted', `nearport enable ${network.link}\n`],
    ] as const) {
      const { code, stdout } = await network.run(home, ['enable'], { input })
      expect({ code, stdout }).toEqual({ code: 0, stdout: `enabled for ${network.url}` })
      await network.succeed(home, ['overview'])
      await expectError('already-enabled', home, ['enable', network.link], /enabled already/)
      expect(await network.succeed(home, ['disable'])).toBe('disabled')
      await expectError('not-enabled', home, ['overview'], /not enabled/)
      await expectError('not-enabled', home, ['disable'], /not enabled/)
    }
    await expectError('link-invalid', 'piped', ['enable'], /not a URL/)
  })

  test('enable asks for it on a terminal, and does not show it', async () => {
    // util-linux's, whose options others lack.
    if (process.platform !== 'linux') return
    const terminal = spawn('script', ['-qec', `'${process.execPath}' '${CLI}' enable`, '/dev/null'], {
      env: { ...process.env, NEARPORT_HOME: network.home('typed'), NEARPORT_LINK: undefined },
    })
    let said = ''
    const asked = new Promise<void>((resolve) => {
      terminal.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString()
        if (said.includes('not shown:')) resolve()
      })
    })
    const ended = once(terminal, 'close')
    await Promise.race([asked, ended])
    terminal.stdin.write(`${network.link}\r`)
    expect(await ended).toEqual([0, null])
    expect(said).toContain(`enabled for ${network.url}`)
    expect(said).not.toContain(network.key)
    await network.succeed('typed', ['overview'])
    await network.succeed('typed', ['disable'])
  })

  test('NEARPORT_LINK stands in for enable, and before what is stored', async () => {
    const env = { NEARPORT_LINK: network.link }
    expect(await network.succeed('container', ['overview', '--json'], { env })).toContain('"printer"')
    await network.succeed('container', ['reserve', 'private', target.address, '-n', 'boxed'], { env })
    await network.succeed('container', ['release', 'boxed'], { env })
    const other = { NEARPORT_LINK: `${network.url}#${otherKey}` }
    const { code, stderr } = await network.run('access', ['overview'], { env: other })
    expect(code).toBe(ERRORS['admission-refused'].exit)
    expect(stderr).toContain('(admission-refused)')
  })

  test.each([
    ['reserve', 'private', '127.0.0.1:9100', '-n', 'abc'],
    ['share', 'reserved', 'abc'],
    ['share', 'private', '127.0.0.1:9100'],
    ['access', 'private', 'abc', '--bind', '127.0.0.1:0'],
    ['release', 'abc'],
    ['overview'],
    ['disable'],
  ])('nothing works before it: %s %s', async (...args) => {
    await expectError('not-enabled', 'fresh', args, /not enabled/)
  })

  test('a configuration that is damaged is named, never repeated', async () => {
    const home = network.home('damaged')
    await mkdir(home, { recursive: true })
    await writeFile(join(home, 'environment.json'), `{"version":1,"link":"${network.url}#${otherKey.slice(1)}"}`)
    await expectError('config-invalid', 'damaged', ['overview'], /environment\.json/)
    await writeFile(join(home, 'environment.json'), `{"version":1,"link":"${otherKey}`)
    const { stderr } = await refused('damaged', ['overview'])
    expect(stderr).not.toContain(otherKey)
  })

  test('the files of an environment are for its user only', async () => {
    if (process.platform === 'win32') return
    const home = network.home('share')
    for (const file of ['environment.json', 'identity.json', join('shares', 'printer.json')]) {
      expect((await stat(join(home, file))).mode & 0o077).toBe(0)
    }
  })
})

describe('usage', () => {
  test.each([
    [['--nonsense']],
    [['nonsense']],
    [['share', 'reserved']],
    [['share', 'reserved', 'abc', '--nonsense']],
    [['reserve', 'private']],
    [['reserve', 'private', '127.0.0.1:1', '--backend-mode', 'proxy']],
    [['share', 'private', '127.0.0.1:1', '--engine', 'fast']],
    [['share', 'private', '127.0.0.1:1', '--max-connections', '0']],
    [['share', 'private', '127.0.0.1:1', '--max-connections', 'many']],
    [['share', 'private', '127.0.0.1:1', '--health-interval', 'never']],
    [['reserve', 'private', '127.0.0.1:1', '--health-interval', '86401']],
    [['access', 'private', 'abc', '--auto', '--auto-start-port', '65536']],
    [['version', 'extra']],
    [['--log-level', 'loud', 'version']],
  ])('%j ends with 2 and points to --help', async (args) => {
    const { code, stdout, stderr } = await network.run('share', args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^error: /)
    expect(stderr).toContain('(--help says more)')
  })

  test.each([[['--help']], [['help']], [['share', '--help']], [['access', 'private', '--help']]])(
    '%j prints the help on standard output',
    async (args) => {
      const { code, stdout, stderr } = await network.run('share', args)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toMatch(/^Usage: nearport/)
    },
  )

  test('version is that of the package', async () => {
    const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
    expect(await network.succeed('fresh', ['version'])).toBe(`nearport ${version}`)
  })

  test('zrok spellings are taken', async () => {
    const zrok = ['reserve', 'private', '--backend-mode', 'tcpTunnel', target.address, '--unique-name', 'zrok']
    await network.succeed('share', zrok)
    const share = network.start('share', ['share', 'reserved', 'zrok', '--headless', '--json'])
    const line = await share.until('its name', ({ stdout }) => stdout[0])
    expect(JSON.parse(line)).toEqual({ name: 'zrok', target: target.address })
    const access = network.start('access', ['access', 'private', 'zrok', '--bind', '127.0.0.1:0', '--headless'])
    await access.until('its port', ({ stdout }) => stdout[0])
    await Promise.all([share.stop(), access.stop()])
  })
})

describe('signal', () => {
  test('an address that is taken, and a folder in use, are said to be so', async () => {
    await expectError('listen-failed', 'second', ['signal', '--listen', target.address], /listen/)
    await expectError('store-locked', 'signal', ['signal', '--listen', '127.0.0.1:0'], /nearport: /)
  })

  test('a port is taken or not before any state is made', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    await expectError('listen-failed', 'third', ['signal', '--listen', `127.0.0.1:${address.port}`], /listen/)
    server.close()
    // So the first start that works still prints the link.
    const signal = network.start('third', ['signal', '--listen', '127.0.0.1:0'])
    await signal.until('the link', ({ stdout }) => stdout.find((line) => line.startsWith('nearport enable http://')))
    expect((await signal.stop('SIGINT')).code).toBe(0)
  })
})

describe('the key', () => {
  test('is in no output but the enable line, also at the most talkative level', async () => {
    const env = { NEARPORT_LOG_LEVEL: 'debug' }
    await network.signaling.stop()
    const restarted = await network.startSignaling()
    const share = network.start('share', ['share', 'reserved', 'printer'], { env })
    await share.until('its name', ({ stdout }) => stdout[0])
    const access = network.start('access', ['access', 'private', 'printer', '--bind', '127.0.0.1:0'], { env })
    const bind = await access.until('its port', ({ stdout }) => /:(\d+)$/.exec(stdout[0] ?? '')?.[1])
    expect((await exchange(Number(bind), 'x')).toString()).toBe('x')
    await Promise.all([share.stop(), access.stop()])
    expect(restarted.child.stdout).toEqual([])
    expect(network.logs().split(network.key).length - 1).toBe(1)
  })

  test('is on disk in the two environments only: the server keeps a verifier', async () => {
    const holders: string[] = []
    const key = Buffer.from(fromBase64Url(network.key) ?? [])
    expect(key.length).toBe(32)
    for (const entry of await readdir(network.folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      const bytes = await readFile(path)
      if (bytes.includes(network.key) || bytes.includes(key)) holders.push(path)
    }
    expect(holders.sort()).toEqual(['access', 'share'].map((home) => join(network.home(home), 'environment.json')))
  })
})
