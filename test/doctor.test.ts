/** `nearport doctor`, as people and programs see it. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { checkAddresses, checkNat, checkStun } from '../peer/doctor/network.ts'
import { formatFinding, type Report } from '../peer/doctor/report.ts'
import type { NatFinding } from '../peer/nat.ts'
import { type NatBehaviour, parseNat } from '../shared/nat.ts'
import { TcpTarget } from './support/tcp.ts'
import { ENGINES, type Network, type Peer, startNetwork } from './support/tunnel.ts'

const stun = { host: '192.0.2.1', port: 7070 }
const hard = 'address-and-port-dependent/address-and-port-dependent'

describe('with a network', () => {
  let network: Network
  let share: Peer
  /** Says a word, and closes: what it accepts is known at once. */
  let quick: TcpTarget
  /** Keeps its connections open and silent, as printers do. */
  let printer: TcpTarget
  const opened: Socket[] = []
  let received = 0

  beforeAll(async () => {
    network = await startNetwork()
    quick = await TcpTarget.start((socket) => socket.end('hello'))
    printer = await TcpTarget.start((socket) => {
      opened.push(socket)
      socket.on('data', (bytes) => {
        received += bytes.length
      })
    })
    const gone = await TcpTarget.start((socket) => socket.destroy())
    await gone.off()
    share = await network.share({ quick: quick.address, printer: printer.address, gone: gone.address })
    await network.succeed('share', ['reserve', 'private', quick.address, '--unique-name', 'asleep'])
  }, 30_000)

  afterAll(async () => {
    await network?.stop()
    await quick?.off()
    await printer?.off()
  })

  /** What it found, and that its exit status says the same. */
  async function doctor(home: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Report> {
    const { code, stdout } = await network.run(home, ['doctor', '--json', ...args], { env })
    const report = JSON.parse(stdout) as Report
    expect(code).toBe(report.status)
    expect(report.status).toBe(Math.max(...report.checks.map(({ status }) => status)))
    return report
  }
  const names = ({ checks }: Report) => checks.map(({ check }) => check)
  const last = ({ checks }: Report) => checks.at(-1)

  test('finds that all is well, and what stands before this host', async () => {
    const report = await doctor('access')
    expect(report).toEqual({
      status: 0,
      server: network.url,
      checks: expect.any(Array),
      nat: {
        ipv4: { mapping: 'none', filtering: 'port-independent', address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) },
        // The server is not asked over IPv6, which this host may have all the same.
        ipv6: report.nat?.ipv6 === null ? null : { mapping: 'unknown', filtering: 'unknown', address: null },
      },
      token: expect.stringMatching(/^ipv4:none\/port-independent/),
      meet: null,
      share: null,
    })
    expect(names(report)).toEqual(['addresses', 'server', 'stun', 'nat'])
    for (const finding of report.checks) {
      expect(finding).toEqual({ check: finding.check, status: 0, code: null, says: expect.any(String), next: null })
    }
  })

  test('says the same to people, with the word for the other side, which it takes', async () => {
    const { code, stdout } = await network.run('access', ['doctor'])
    expect(code).toBe(0)
    for (const check of ['addresses', 'server', 'stun', 'nat']) {
      expect(stdout).toMatch(new RegExp(`^${check} +ok +\\S.{10,}$`, 'm'))
    }
    const [, token = ''] = /^for another host: nearport doctor --with (\S+)$/m.exec(stdout) ?? []
    expect(last(await doctor('share', ['--with', token]))).toMatchObject({ check: 'meet', status: 0 })
  })

  test.each([
    [hard, 'yes', 0],
    ['unanswered/unknown', 'unknown', 1],
    ['offline', 'no', 2],
  ])('says whether it can meet a host behind %s: %s', async (token, meet, status) => {
    const report = await doctor('access', ['--with', token])
    expect(report).toMatchObject({ meet, status })
    expect(last(report)).toMatchObject({ check: 'meet', status })
    expect(last(report)?.next === null).toBe(status === 0)
  })

  test.each(ENGINES)('tries a share (%s): its owner, the path, and the target', async (engine) => {
    const report = await doctor('access', ['quick', '--engine', engine])
    expect(names(report)).toEqual(['addresses', 'server', 'stun', 'nat', 'name', 'link', 'target'])
    expect(report.status).toBe(0)
    const end = { address: expect.any(String), port: expect.any(Number), type: expect.stringMatching(/^(host|prflx)$/) }
    expect(report.share).toEqual({
      name: 'quick',
      state: 'online',
      owner: expect.stringMatching(/^[\w-]{43}$/),
      own: false,
      engine,
      path: { local: end, remote: end },
      target: 'accepts',
    })
    expect((await doctor('share', ['quick'])).share).toMatchObject({ own: true, owner: report.share?.owner })
  })

  test('opens and closes one connection to a target that says nothing, and sends it nothing', async () => {
    const report = await doctor('access', ['printer'])
    expect(report).toMatchObject({ status: 0, share: { target: 'accepts' } })
    expect(opened).toHaveLength(1)
    for (const socket of opened) if (!socket.destroyed) await once(socket, 'close')
    expect(received).toBe(0)
  }, 30_000)

  test.each([
    ['gone', 1, 'target', 'target-refused', 'online'],
    ['asleep', 1, 'name', 'name-offline', 'offline'],
    ['nobody', 2, 'name', 'name-unknown', 'unknown'],
  ] as const)('says what is wrong with the share "%s"', async (name, status, check, code, state) => {
    const report = await doctor('access', [name])
    expect(report).toMatchObject({ status, share: { name, state, target: check === 'target' ? code : null } })
    expect(last(report)).toEqual({ check, status, code, says: expect.any(String), next: expect.stringMatching(/\w/) })
  })

  test('tells a server that is not there, a wrong key and a missing link apart', async () => {
    const key = randomBytes(32).toString('base64url')
    const silent = await doctor('access', [], { NEARPORT_LINK: `http://127.0.0.1:1/#${key}` })
    expect(last(silent)).toMatchObject({ check: 'server', status: 1, code: 'server-unreachable' })
    const wrong = await doctor('access', ['quick', '--with', hard], { NEARPORT_LINK: `${network.url}#${key}` })
    expect(wrong.checks[1]).toMatchObject({ check: 'server', status: 2, code: 'admission-refused' })
    expect(wrong).toMatchObject({ meet: 'unknown', nat: null, token: null, share: null })
    const fresh = await doctor('fresh')
    expect(fresh).toMatchObject({ status: 2, server: null, checks: [{ check: 'server', code: 'not-enabled' }] })
  })

  test.each([
    [['pc_1'], 'name-malformed'],
    [['--with', 'symmetric'], 'usage'],
  ])('refuses %j before it does anything', async (args, code) => {
    const { code: status, stdout, stderr } = await network.run('access', ['doctor', ...args])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(`(${code})`)
  })

  test('leaves the share as it was', async () => {
    await doctor('access', ['quick'])
    expect(share.child.process.exitCode).toBeNull()
    expect((await doctor('access', ['quick'])).status).toBe(0)
  })
})

describe('a check', () => {
  const finding = (token: string, more: Partial<NatFinding> = {}): NatFinding => ({
    behaviour: parseNat(token).ipv4 as NatBehaviour,
    mapped: { host: '198.51.100.1', port: 4711 },
    server: stun,
    serverHas: 'two-addresses',
    secondSilent: false,
    ...more,
  })

  test.each<[string, Partial<NatFinding>, RegExp, RegExp | null]>([
    ['none/endpoint-independent', {}, /without a NAT, and with nothing that filters: it meets every peer$/, null],
    ['none/address-and-port-dependent', {}, /behind a firewall with .*: it meets every peer but one/, null],
    ['endpoint-independent/endpoint-independent', {}, /NAT with endpoint-independent mapping and filtering: /, null],
    ['endpoint-independent/address-and-port-dependent', {}, /every peer but one whose NAT gives each/, null],
    [hard, {}, /address-and-port-dependent mapping and filtering: each connection gets another port/, null],
    ['port-independent/port-independent', { serverHas: 'two-ports' }, /\(or address-dependent\).*brackets/, null],
    ['unknown/unknown', { serverHas: 'one-port' }, /could not be examined: whom it can meet/, /second UDP port/],
    ['unknown/unknown', { serverHas: 'two-ports', secondSilent: true }, /could not be examined/, /is silent: open/],
  ])('names the NAT %s', (token, more, says, next) => {
    const found = checkNat(stun, { ipv4: finding(token, more), ipv6: null })
    expect(found).toMatchObject({ check: 'nat', status: 0, says: expect.stringMatching(says) })
    if (next === null) expect(found.next).toBeNull()
    else expect(found.next).toMatch(next)
  })

  test('names a NAT for each family', () => {
    const { says } = checkNat(stun, { ipv4: finding(hard), ipv6: finding('none/address-and-port-dependent') })
    expect(says).toMatch(/^over IPv4 .*; over IPv6 this host is without a NAT/)
  })

  test('says when STUN is off, silent, or heard in one family only', () => {
    expect(checkStun(null, null)).toMatchObject({ status: 1, next: expect.stringContaining('--stun-port off') })
    const deaf = finding('unanswered/unknown', { mapped: null })
    const silent = checkStun(stun, { ipv4: deaf, ipv6: null })
    expect(silent).toMatchObject({ status: 1, says: expect.stringContaining('192.0.2.1:7070 does not answer') })
    const half = checkStun(stun, { ipv4: deaf, ipv6: finding('none/unknown') })
    expect(half).toMatchObject({ status: 0, says: expect.stringMatching(/198\.51\.100\.1:4711 \(IPv6\)$/) })
  })

  test('of the addresses says what both have', async () => {
    expect(await checkAddresses('http://127.0.0.1:7070/')).toMatchObject({
      status: 0,
      says: expect.stringMatching(/^this host has .*, the server IPv4$/),
    })
    expect(await checkAddresses('http://[::1]:7070/')).toMatchObject({
      status: 0,
      says: expect.stringMatching(/IPv6$/),
    })
  })

  test('is shown on a line, with what to do next below', () => {
    const finding = { check: 'stun', status: 1, code: null, says: 'silence', next: 'speak' } as const
    expect(formatFinding(finding)).toBe('stun       not now  silence\n                    next: speak\n')
    expect(formatFinding({ ...finding, status: 2, code: 'usage', next: null })).toBe(
      'stun       no       silence (usage)\n',
    )
  })
})
