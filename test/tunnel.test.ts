/** The main job through real processes, over every pairing of engines. */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { Child } from '../peer/demo/child.ts'
import {
  dial,
  ending,
  exchange,
  hashAll,
  lostJob,
  readAll,
  readSome,
  sha256,
  TcpTarget,
  writeAll,
} from './support/tcp.ts'
import { type Access, type LogLine, type Network, PAIRINGS, type Peer, startNetwork } from './support/tunnel.ts'

const MIB = 1024 * 1024
const SIZES = [0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537]

/** Takes a whole job, then sends it back. */
async function echo(socket: Socket): Promise<void> {
  socket.end(await readAll(socket))
}

/** A printer that nobody can wait for in vain: a connection that fails is a matter of the other end. */
const echoing = (socket: Socket): void => {
  echo(socket).catch(() => socket.destroy())
}

const presence = (state: string) => (line: LogLine) => line.msg === 'share presence' && line.state === state

describe.each(PAIRINGS)('share $share, access $access', ({ share: shareEngine, access: accessEngine }) => {
  let network: Network
  let target: TcpTarget
  /** further ones, for one test each */
  const targets: TcpTarget[] = []
  let share: Peer
  let access: Access
  let port: number

  beforeAll(async () => {
    network = await startNetwork()
    target = await TcpTarget.start(echoing)
    share = await network.share({ pc1: target.address }, { engine: shareEngine })
    access = await network.access(['pc1'], { engine: accessEngine })
    port = access.ports.pc1 ?? 0
  })

  beforeEach(async () => {
    target.onconnection = echoing
    await target.on()
  })

  afterAll(async () => {
    await network?.stop()
    for (const each of [target, ...targets]) await each?.off()
  })

  /** A connection through the tunnel, from both of its ends. */
  async function pair(): Promise<{ client: Socket; printer: Socket }> {
    const arrived = target.next()
    const client = await dial(port)
    return { client, printer: await arrived }
  }

  test('the engines are those asked for', async () => {
    const ready = (line: LogLine) => line.msg === 'link ready'
    const [atShare, atAccess] = [await share.logged('link ready', ready), await access.logged('link ready', ready)]
    expect([atShare.engine, atAccess.engine]).toEqual([shareEngine, accessEngine])
    expect(atAccess.path).toMatch(/^host \S+ to (host|prflx) \S+$/)
  })

  test('64 MiB up and 64 MiB down at the same time over one connection are byte-exact', async () => {
    const { client, printer } = await pair()
    const [up, down] = [randomBytes(64 * MIB), randomBytes(64 * MIB)]
    const arrived = Promise.all([hashAll(printer), hashAll(client)])
    await Promise.all([
      writeAll(client, up).then(() => client.end()),
      writeAll(printer, down).then(() => printer.end()),
    ])
    expect(await arrived).toEqual([sha256(up), sha256(down)])
  })

  test('200 connections at once do not mix', async () => {
    const count = 200
    const waiting: (() => void)[] = []
    target.onconnection = async (socket) => {
      const job = await readAll(socket)
      // Nobody is answered before all are here.
      waiting.push(() => socket.end(job))
      if (waiting.length === count) for (const answer of waiting) answer()
    }
    const jobs = Array.from({ length: count }, (_, index) => randomBytes(1 + index * 331))
    const answers = await Promise.all(jobs.map((job) => exchange(port, job)))
    expect(answers.map(sha256)).toEqual(jobs.map(sha256))
  })

  test.each(SIZES)('a job of %d bytes arrives whole, and so does its echo', async (size) => {
    const job = randomBytes(size)
    expect((await exchange(port, job)).equals(job)).toBe(true)
  })

  test('a till that ended its job still receives the answer', async () => {
    const { client, printer } = await pair()
    const job = readAll(printer)
    client.end('a job')
    expect((await job).toString()).toBe('a job')
    const answer = readAll(client)
    await writeAll(printer, Buffer.from('printed'))
    printer.end()
    expect((await answer).toString()).toBe('printed')
  })

  test('a printer that ended first still receives the job', async () => {
    const { client, printer } = await pair()
    const greeting = readAll(client)
    printer.end('ready')
    expect((await greeting).toString()).toBe('ready')
    const job = readAll(printer)
    await writeAll(client, Buffer.alloc(MIB, 'x'))
    client.end()
    expect((await job).length).toBe(MIB)
  })

  test.each(['client', 'printer'] as const)('a reset by the %s arrives as a reset at the other end', async (who) => {
    const ends = await pair()
    const [near, far] = who === 'client' ? [ends.client, ends.printer] : [ends.printer, ends.client]
    const before = { share: share.log.length, access: access.log.length }
    const first = readSome(far, 1)
    near.write('x')
    await first
    const ended = ending(far)
    near.resetAndDestroy()
    expect(await ended).toBe('ECONNRESET')
    const lines = [await share.resetLogged('pc1', before.share), await access.resetLogged('pc1', before.access)]
    expect(lines.map(({ code }) => code)).toEqual(['peer-reset', 'peer-reset'])
  })

  test('a reset in one direction reaches an end that has half-closed', async () => {
    const { client, printer } = await pair()
    const before = { share: share.log.length, access: access.log.length }
    const job = readAll(printer)
    client.end('a job')
    await job
    const ended = ending(client)
    printer.resetAndDestroy()
    expect(await ended).toBe('ECONNRESET')
    expect(await share.resetLogged('pc1', before.share)).toMatchObject({ code: 'peer-reset', by: 'near' })
    expect(await access.resetLogged('pc1', before.access)).toMatchObject({ code: 'peer-reset', by: 'far' })
  })

  test('a printer that refuses is a reset and a named reason on both sides; the next job works once it is back', async () => {
    await target.off()
    const before = { share: share.log.length, access: access.log.length }
    expect(await lostJob(port)).toBe('ECONNRESET')
    const atShare = await share.resetLogged('pc1', before.share)
    const atAccess = await access.resetLogged('pc1', before.access)
    expect(atShare).toMatchObject({ code: 'target-refused', by: 'near', target: target.address })
    expect(atAccess).toMatchObject({ code: 'target-refused', by: 'far' })
    await target.on()
    expect((await exchange(port, 'again')).toString()).toBe('again')
  })

  test('a printer on no network is a reset with its own reason', async () => {
    // No packet leaves: the system refuses to connect to a broadcast address.
    const lost = await network.share({ lost: '255.255.255.255:9100' }, { engine: shareEngine })
    const till = await network.access(['lost'], { engine: accessEngine })
    expect(await lostJob(till.ports.lost ?? 0)).toBe('ECONNRESET')
    expect(await lost.resetLogged('lost')).toMatchObject({ code: 'target-unreachable', by: 'near' })
    expect(await till.resetLogged('lost')).toMatchObject({ code: 'target-unreachable', by: 'far' })
    await Promise.all([lost.stop(), till.stop()])
  })

  test('--max-connections 1 serves in order, one at a time, and forgets who left', async () => {
    const printer = await TcpTarget.start((socket) => socket.destroy())
    targets.push(printer)
    const queue = await network.share({ queue: printer.address }, { engine: shareEngine, maxConnections: 1 })
    const till = await network.access(['queue'], { engine: accessEngine })
    const printed: string[] = []
    let most = 0
    const print = async (socket: Socket) => {
      most = Math.max(most, printer.open)
      const job = (await readAll(socket)).toString()
      printed.push(job)
      socket.end(`OK ${job}`)
    }
    printer.onconnection = print
    const arrived = printer.next()
    const first = await dial(till.ports.queue ?? 0)
    const firstPrinted = print(await arrived)
    first.write('fir')
    const dialled: Socket[] = []
    // Each comes once the one before it waits.
    for (const [waiting, job] of ['second', 'leaves', 'third', 'fourth'].entries()) {
      const socket = await dial(till.ports.queue ?? 0)
      dialled.push(socket)
      if (job !== 'leaves') socket.end(job)
      await queue.logged(`${waiting + 1} waiting`, (line) => line.waiting === waiting + 1)
    }
    const [second, leaving, third, fourth] = dialled
    leaving?.resetAndDestroy()
    await till.logged('the one that left', ({ msg, name }) => msg === 'connection reset' && name === 'queue')
    const answers = [first, second, third, fourth].map((socket) => (socket ? readAll(socket) : null))
    expect(printed).toEqual([])
    first.end('st')
    await firstPrinted
    expect((await Promise.all(answers)).map(String)).toEqual(['OK first', 'OK second', 'OK third', 'OK fourth'])
    expect(printed).toEqual(['first', 'second', 'third', 'fourth'])
    expect(most).toBe(1)
    await Promise.all([queue.stop(), till.stop()])
  })

  test('a name that is offline is a reset that says so; a share that comes back serves the next job', async () => {
    const before = access.log.length
    expect((await share.stop()).code).toBe(0)
    await access.logged('offline', presence('offline'), before)
    const offline = access.log.length
    expect(await lostJob(port)).toBe('ECONNRESET')
    expect(await access.resetLogged('pc1', offline)).toMatchObject({ code: 'name-offline' })

    share = await network.share({ pc1: target.address }, { engine: shareEngine })
    await access.logged('online', presence('online'), offline)
    expect((await exchange(port, 'again')).toString()).toBe('again')
  })

  test('a share that was killed and comes back serves the next job', async () => {
    const before = access.log.length
    await share.stop('SIGKILL')
    await access.logged('offline', presence('offline'), before)
    const offline = access.log.length
    share = await network.share({ pc1: target.address }, { engine: shareEngine })
    await access.logged('online', presence('online'), offline)
    expect((await exchange(port, 'again')).toString()).toBe('again')
  })

  test('an open tunnel does not notice that signaling was killed, and both peers find it again', async () => {
    const { client, printer } = await pair()
    const moves = async () => {
      const bytes = randomBytes(MIB)
      const back = readSome(client, MIB)
      const there = readSome(printer, MIB).then((arrived) => printer.write(arrived))
      client.write(bytes)
      await there
      expect(sha256(await back)).toBe(sha256(bytes))
    }
    await moves()
    await network.signaling.stop('SIGKILL')
    await moves()
    // Also a connection that is made while the server is down.
    expect((await exchange(port, 'no server')).toString()).toBe('no server')

    const before = { share: share.log.length, access: access.log.length }
    await network.startSignaling()
    const found = (line: LogLine) => line.msg === 'connected to the signaling server'
    await Promise.all([share.logged('found', found, before.share), access.logged('found', found, before.access)])
    await moves()
    const late = await network.access(['pc1'], { engine: accessEngine })
    expect((await exchange(late.ports.pc1 ?? 0, 'new')).toString()).toBe('new')
    expect((await late.stop()).code).toBe(0)
    await moves()
    const ended = readAll(client)
    client.end()
    printer.end()
    await ended
  })

  test('an ephemeral name is gone when its process has ended', async () => {
    const listed = async () => {
      const { shares } = JSON.parse(await network.succeed('access', ['overview', '--json']))
      return (shares as { name: string; online: boolean }[]).find(({ name }) => name === 'passing')
    }
    const passing = await network.share({ passing: target.address }, { engine: shareEngine, ephemeral: true })
    expect(await listed()).toMatchObject({ online: true, reserved: false })
    expect((await passing.stop('SIGTERM')).code).toBe(0)
    expect(await listed()).toBeUndefined()
  })

  test('both sides stop cleanly at SIGINT, and nothing went wrong unseen', async () => {
    expect((await access.stop('SIGINT')).code).toBe(0)
    expect((await share.stop('SIGINT')).code).toBe(0)
    expect(network.logs()).not.toMatch(/"internal"|Unhandled|TypeError|RangeError/)
    expect(network.logs().split(network.key).length - 1).toBe(1)
  })
})

describe('a printer that is off', () => {
  let network: Network
  let printer: Child | TcpTarget
  const filling: Socket[] = []

  beforeAll(async () => {
    network = await startNetwork()
  })

  afterAll(async () => {
    for (const socket of filling) socket.destroy()
    await network?.stop()
    if (printer instanceof Child) await printer.stop()
    else await printer?.off()
  })

  // How many connections wait before a system drops the next one is known of Linux.
  const onLinux = process.platform === 'linux' ? test : test.skip

  onLinux('is a reset with its own reason after the deadline; the next job works once it is on', async () => {
    // It never takes a connection, and has room for two that wait: a third one is not even refused.
    const silent = `const server = require('node:net').createServer()
      server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
        require('node:fs').writeSync(1, server.address().port + '\\n')
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
      })`
    const off = new Child('a silent printer', ['-e', silent])
    printer = off
    const port = Number(await off.until('its port', ({ stdout }) => stdout[0]))
    filling.push(await dial(port), await dial(port))

    const share = await network.share({ pc1: `127.0.0.1:${port}` })
    const access = await network.access(['pc1'])
    expect(await lostJob(access.ports.pc1 ?? 0)).toBe('ECONNRESET')
    expect(await share.resetLogged('pc1')).toMatchObject({ code: 'target-timeout', by: 'near' })
    expect(await access.resetLogged('pc1')).toMatchObject({ code: 'target-timeout', by: 'far' })

    await off.stop()
    printer = await TcpTarget.start(echoing, '127.0.0.1', port)
    expect((await exchange(access.ports.pc1 ?? 0, 'again')).toString()).toBe('again')
  })
})
