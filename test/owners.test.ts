/** Whom a name belongs to is the server's word only once: real processes, and names that change hands. */
import { existsSync } from 'node:fs'
import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { exchange, lostJob, readAll, TcpTarget } from './support/tcp.ts'
import { type Access, type LogLine, type Network, type Peer, startNetwork } from './support/tunnel.ts'

/** As somebody who sits at it; null where there is no util-linux. */
const ON_A_TERMINAL =
  process.platform === 'linux' && (process.env.CI || existsSync('/usr/bin/script'))
    ? ['sh', '-c', 'exec script -qec "$*" /dev/null', 'sh']
    : null

let network: Network
/** The printer of each environment says whose it is. */
const printers: Record<string, TcpTarget> = {}

beforeAll(async () => {
  network = await startNetwork()
  await network.succeed('other', ['enable', network.link])
  for (const home of ['share', 'other', 'moved']) {
    printers[home] = await TcpTarget.start(async (socket) => {
      await readAll(socket).catch(() => null)
      socket.end(home)
    })
  }
})
afterAll(async () => {
  await network?.stop()
  for (const printer of Object.values(printers)) await printer.off()
})

async function serve(home: string, ...names: string[]): Promise<Peer> {
  const address = printers[home]?.address ?? ''
  return network.share(Object.fromEntries(names.map((name) => [name, address])), { home, engine: 'werift' })
}

/** An honest server lets a name change hands only so; to the access side it looks as if the server lied. */
async function giveUp(peer: Peer, home: string, ...names: string[]): Promise<void> {
  await peer.stop()
  for (const name of names) await network.succeed(home, ['release', name])
}

const fingerprint = (home: string): Promise<string> => network.succeed(home, ['identity', 'show'])
const print = async (access: Access, name: string): Promise<string> =>
  (await exchange(access.ports[name] ?? 0, 'a job')).toString()
const ready = ({ msg }: LogLine) => msg === 'link ready'
const refused = (access: Access, name: string, after = 0) =>
  access.logged('the refusal', (line) => line.msg === 'share refused' && line.name === name, after)

describe('a name that has another owner', () => {
  let access: Access
  let other: Peer

  afterAll(async () => {
    await access?.stop()
    await other?.stop()
  })

  test('is refused at the next start, alone, with both fingerprints and what to do, until it is trusted', async () => {
    const first = await serve('share', 'pc1', 'pc2')
    const before = await network.access(['pc1', 'pc2'], { engine: 'werift' })
    expect([await print(before, 'pc1'), await print(before, 'pc2')]).toEqual(['share', 'share'])
    await before.stop()
    await giveUp(first, 'share', 'pc1')
    await serve('share', 'pc2')
    other = await serve('other', 'pc1')
    access = await network.access(['pc1', 'pc2'], { engine: 'werift' })

    const [old, now] = [await fingerprint('share'), await fingerprint('other')]
    const { code, reason, next } = await refused(access, 'pc1')
    expect([code, reason, next]).toEqual([
      'owner-changed',
      expect.stringMatching(new RegExp(`${old}.*${now}`)),
      expect.stringContaining(`nearport trust pc1=${now}`),
    ])
    expect(await lostJob(access.ports.pc1 ?? 0)).toBe('ECONNRESET')
    expect((await access.resetLogged('pc1')).code).toBe('owner-changed')
    expect(await print(access, 'pc2')).toBe('share')
    expect((await network.run('access', ['doctor', 'pc1', '--engine', 'werift'])).code).toBe(2)
    const { shares } = JSON.parse(await network.succeed('access', ['overview', '--json']))
    const trust = shares.map((share: Record<string, unknown>) => [share.name, share.owner, share.trust]).sort()
    expect(trust).toEqual([
      ['pc1', now, 'changed'],
      ['pc2', old, 'known'],
    ])

    // The user is asked, and by a pipe nobody is; what he has seen is what counts.
    const since = access.log.length
    for (const [words, complaint] of [
      [['pc1'], `nearport trust pc1=${now}`],
      [[`pc1=${old}`], '(owner-unknown)'],
      [['pc9'], '(name-unknown)'],
      [['--all-of', '0000-0000-0000-0000'], '(owner-unknown)'],
      [['--all-of', 'nonsense'], '(usage)'],
      [['pc1', '--all-of', now], '(usage)'],
      [[], '(usage)'],
    ] as const) {
      const { code: status, stderr } = await network.run('access', ['trust', ...words], { input: 'y\n' })
      expect([status, stderr]).toEqual([2, expect.stringContaining(complaint)])
    }
    if (ON_A_TERMINAL === null) await network.succeed('access', ['trust', `pc1=${now}`])
    for (const [answer, outcome] of [
      ['n', 'nothing was changed'],
      ['y', `pc1 belongs to ${now} from now on`],
    ] as const) {
      if (ON_A_TERMINAL === null) continue
      const said = await network.succeed('access', ['trust', 'pc1'], { launch: ON_A_TERMINAL, input: `${answer}\n` })
      expect(said).toContain(`pc1: ${old} → ${now}`)
      expect(said).toContain(outcome)
    }
    // By itself, before there is a job.
    await access.logged('link ready', ready, since)
    expect([await print(access, 'pc1'), await print(access, 'pc2')]).toEqual(['other', 'share'])
  })

  test('is refused while a process runs, and used again by itself when its owner is back', async () => {
    await giveUp(other, 'other', 'pc1')
    const since = access.log.length
    const thief = await serve('share', 'pc1')
    await refused(access, 'pc1', since)
    expect(await lostJob(access.ports.pc1 ?? 0)).toBe('ECONNRESET')
    await giveUp(thief, 'share', 'pc1')
    other = await serve('other', 'pc1')
    await access.logged('link ready', ready, since)
    expect(await print(access, 'pc1')).toBe('other')
  })

  test('is accepted with all others of a replaced share host at once, and those alone', async () => {
    await giveUp(other, 'other', 'pc1')
    const replaced = await serve('share', 'pc1')
    expect(await network.succeed('access', ['trust', '--all-of', await fingerprint('share')])).toMatch(
      /^pc1 belongs to/,
    )
    expect(await print(access, 'pc1')).toBe('share')
    expect(await network.succeed('access', ['trust', '--all-of', await fingerprint('share')])).toMatch(/^nothing/)
    await replaced.stop()
  })
})

describe('an environment', () => {
  test('moves to another computer, where nothing changes for those who use its names', async () => {
    await network.succeed('share', ['reserve', 'private', printers.moved?.address ?? '', '-n', 'pc3'])
    const old = await network.share({ pc3: printers.moved?.address ?? '' }, { engine: 'werift' })
    // Also before first use.
    const trusted = await network.succeed('access', ['trust', `pc3=${await fingerprint('share')}`])
    expect(trusted).toMatch(/^pc3 belongs to/)
    const access = await network.access(['pc3'], { engine: 'werift' })
    expect(await print(access, 'pc3')).toBe('moved')
    const file = join(network.folder, 'moving.json')
    expect(await network.succeed('share', ['identity', 'export', file])).toContain(await fingerprint('share'))
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect((await network.run('share', ['identity', 'export', file])).stderr).toContain('(config-failed)')
    expect((await network.run('share', ['identity', 'export', '/dev/stdout'])).stdout).toBe('')
    await old.stop()

    await network.succeed('new', ['identity', 'import', file])
    expect(await fingerprint('new')).toBe(await fingerprint('share'))
    const since = access.log.length
    network.start('new', ['share', 'reserved', 'pc3', '--engine', 'werift'])
    await access.logged('link ready', ready, since)
    expect(await print(access, 'pc3')).toBe('moved')
    expect(access.log.filter(({ msg }) => msg === 'share refused')).toEqual([])

    expect((await network.run('other', ['identity', 'import', file])).stderr).toContain('(identity-exists)')
    const text = await readFile(file, 'utf8')
    const key = /"privateKey": "([^"]+)"/.exec(text)?.[1] ?? ''
    for (const spoilt of [
      text.slice(0, -9),
      text.replace(key, key.slice(4)),
      text.replace('"link"', '"more": 1, "link"'),
    ]) {
      await writeFile(file, spoilt)
      await chmod(file, 0o600)
      const { code, stderr } = await network.run('empty', ['identity', 'import', file])
      expect([code, stderr]).toEqual([2, expect.stringContaining('(config-invalid)')])
      expect(stderr).not.toContain(key.slice(4, 20))
    }
    await writeFile(file, text)
    await network.succeed('other', ['identity', 'import', file, '--replace'])
    expect(await fingerprint('other')).toBe(await fingerprint('share'))
    expect(network.logs()).not.toContain(key)
  })
})
