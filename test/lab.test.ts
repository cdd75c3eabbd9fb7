/** The laboratory itself: its NATs are what their names say, its cuts cut, and nothing of it is left behind. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { run } from '../bench/network/system.ts'
import { Child } from '../peer/demo/child.ts'
import { type Host, Lab } from './lab/lab.ts'
import { TcpEnd } from './lab/programs.ts'
import { describeLab } from './lab/system.ts'

const MIB = 1024 * 1024

const PROBE = fileURLToPath(new URL('lab/nat-probe.mjs', import.meta.url))

/** What nat-probe.mjs prints. */
interface Finding {
  readonly address: string
  readonly keepsPort: boolean
  readonly letsIn: boolean
}

function startProbe(host: Host, ...args: readonly string[]): Child {
  const [program = '', ...words] = [...host.launch, process.execPath, PROBE, ...args]
  return new Child('probe', words, { program })
}

/** What a NAT between the host and the prober is found to be. */
async function probe(host: Host, server: Host, ports: readonly string[]): Promise<Finding> {
  const child = startProbe(host, 'ask', server.address, ...ports)
  return JSON.parse(await child.until('its finding', ({ stdout }) => stdout[0])) as Finding
}

async function startServer(server: Host): Promise<{ child: Child; ports: string[] }> {
  const child = startProbe(server, 'serve', server.address)
  return { child, ports: (await child.until('its ports', ({ stdout }) => stdout[0])).split(' ') }
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await setImmediate()
}

/** A process id that nobody has. */
async function deadPid(): Promise<number> {
  const process = spawn('true')
  await once(process, 'exit')
  if (process.pid === undefined) throw new Error('"true" did not start')
  return process.pid
}

describeLab('the laboratory', () => {
  let lab: Lab
  let server: Host
  let ports: readonly string[]
  const children: { stop(): Promise<unknown> }[] = []

  beforeAll(async () => {
    lab = await Lab.create()
    server = await lab.host('server')
    const started = await startServer(server)
    children.push(started.child)
    ports = started.ports
  })

  afterAll(async () => {
    for (const child of children) await child.stop()
    await lab?.close()
  })

  test('a host on the internet has its own address there', async () => {
    const host = await lab.host('plain')
    expect(await probe(host, server, ports)).toMatchObject({ address: host.address, keepsPort: true, letsIn: true })
  })

  test.each([
    ['open', { keepsPort: true, letsIn: true }],
    ['port-restricted', { keepsPort: true, letsIn: false }],
    ['endpoint-dependent', { keepsPort: false, letsIn: false }],
  ] as const)('a NAT that is %s', async (kind, expected) => {
    const nat = await lab.nat(kind, kind)
    const host = await lab.host(`${kind}-host`, nat)
    const finding = await probe(host, server, ports)
    expect(finding).toMatchObject(expected)
    expect(finding.address).toMatch(/^203\.0\.113\./)

    // Another host of the same LAN, and one behind a second NAT of the kind, share its address.
    const inner = await lab.nat(`${kind}-inner`, kind, nat)
    for (const at of [nat, inner]) {
      const other = await lab.host(`${kind}-host${at.depth + 1}`, at)
      expect(await probe(other, server, ports)).toMatchObject({ ...expected, address: finding.address })
    }
  })

  test('a NAT that becomes another kind', async () => {
    const nat = await lab.nat('changing', 'endpoint-dependent')
    const host = await lab.host('changing-host', nat)
    expect(await probe(host, server, ports)).toMatchObject({ keepsPort: false, letsIn: false })
    await nat.become('open')
    expect(await probe(host, server, ports)).toMatchObject({ keepsPort: true, letsIn: true })
  })

  test('a cut drops what is sent, and what TCP has under way arrives after it', async () => {
    const [one, other] = [await lab.host('one'), await lab.host('other')]
    const printer = await TcpEnd.printer(other, { mark: MIB, hold: MIB }, other.address)
    const till = TcpEnd.till(one, printer.address, { send: 16 * MIB })
    children.push(printer, till)
    await printer.told('mark')
    expect(await lab.internet.dropped()).toBe(0)
    await lab.internet.cut(one.namespace, other.namespace)
    printer.release()
    await until(async () => (await lab.internet.dropped()) > 0)
    expect(printer.events.map(({ event }) => event)).not.toContain('received')
    // Each still reaches the others.
    await probe(one, server, ports)
    await lab.internet.restore(one.namespace, other.namespace)
    const { bytes, sha256 } = await printer.told('received')
    expect(bytes).toBe(16 * MIB)
    expect((await till.told('sent')).sha256).toBe(sha256)
    expect((await till.ended()).text).toBe(sha256)
  })

  test('a path that loses packets, and one that is slow', async () => {
    const [one, other] = [await lab.host('lossy'), await lab.host('slow')]
    await lab.internet.lose(2, one.namespace, other.namespace)
    await lab.internet.limit(20, other.namespace)
    const before = await lab.internet.dropped()
    const printer = await TcpEnd.printer(other, {}, other.address)
    const began = performance.now()
    const till = TcpEnd.till(one, printer.address, { send: 2 * MIB })
    children.push(printer, till)
    expect((await till.ended()).text).toBe((await till.told('sent')).sha256)
    // 2 MiB at 20 Mbit/s take 840 ms, less what may pass at once.
    expect(performance.now() - began).toBeGreaterThan(700)
    expect(await lab.internet.dropped()).toBeGreaterThan(before)
  })

  test('a host, and a NAT, that get another address', async () => {
    const nat = await lab.nat('readdressed', 'port-restricted')
    const [plain, behind] = [await lab.host('moving'), await lab.host('stays', nat)]
    for (const [host, namespace] of [
      [plain, plain.namespace],
      [behind, nat.namespace],
    ] as const) {
      const before = await probe(host, server, ports)
      const address = await lab.internet.readdress(namespace)
      expect(address).not.toBe(before.address)
      expect(await probe(host, server, ports)).toMatchObject({ address })
    }
  })

  test('the names a host knows', async () => {
    const host = await lab.host('names')
    const lookup = async (name: string) => {
      const look = `require('node:dns').lookup('${name}', (error, address) => console.log(error?.code ?? address))`
      const [program = '', ...words] = [...host.launch, process.execPath, '-e', look]
      return new Child('lookup', words, { program }).until('an answer', ({ stdout }) => stdout[0])
    }
    await host.knows({ 'signal.lab.test': server.address })
    expect(await lookup('signal.lab.test')).toBe(server.address)
    await host.knows({})
    expect(await lookup('signal.lab.test')).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/)
  })

  test('IPv6 only: a host behind a firewall is reached by whom it asked', async () => {
    const six = await Lab.create(6)
    try {
      const outside = await six.host('server')
      const { child, ports } = await startServer(outside)
      children.push(child)
      const plain = await six.host('plain')
      const behind = await six.host('behind', await six.firewall('home'))
      for (const [host, letsIn] of [
        [plain, true],
        [behind, false],
      ] as const) {
        expect(await probe(host, outside, ports)).toMatchObject({ address: host.address, keepsPort: true, letsIn })
      }
    } finally {
      for (const child of children.splice(1)) await child.stop()
      await six.close()
    }
  })

  test('what a run that died has left is removed, and what runs in it ended', async () => {
    const name = `nplab-${await deadPid()}-left`
    const files = `/etc/netns/${name}`
    await run('ip', ['netns', 'add', name])
    mkdirSync(files, { recursive: true })
    const forgotten = new Child('forgotten', ['netns', 'exec', name, 'sleep', 'infinity'], { program: 'ip' })
    await (await Lab.create()).close()
    expect((await forgotten.ended).signal).toBe('SIGKILL')
    expect([existsSync(files), readdirSync('/run/netns').includes(name)]).toEqual([false, false])
  })

  test('close removes everything', async () => {
    const ours = () => readdirSync('/run/netns').filter((name) => name.startsWith(`nplab-${process.pid}-`)).length
    const before = ours()
    const other = await Lab.create()
    const host = await other.host('host', await other.nat('nat', 'open'))
    await host.knows({})
    expect(ours()).toBe(before + 3)
    await other.close()
    expect([ours(), existsSync(host.namespace.files)]).toEqual([before, false])
  })
})
