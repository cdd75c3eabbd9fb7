/** What becomes of jobs when a process sleeps, is killed or is started again; network cuts are in the laboratory. */
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { dial, ending, exchange, hashAll, readAll, readSome, sha256, TcpTarget } from './support/tcp.ts'
import { ENGINES, type LogLine, type Network, startNetwork } from './support/tunnel.ts'

const MIB = 1024 * 1024
const said = (msg: string) => (line: LogLine) => line.msg === msg
/** Takes a job and answers with its hash. */
const printer = () => TcpTarget.start(async (socket) => socket.end(await hashAll(socket).catch(() => '')))

let network: Network
const targets: TcpTarget[] = []

beforeEach(async () => {
  network = await startNetwork()
})
afterEach(async () => {
  await network.stop()
  for (const target of targets.splice(0)) await target.off()
})

async function target(): Promise<TcpTarget> {
  const made = await printer()
  targets.push(made)
  return made
}

describe('a job under way', () => {
  const SLEEPERS = ENGINES.flatMap((engine) => (['share', 'access'] as const).map((who) => ({ engine, who })))

  test('arrives whole, both ways, after the other side has slept; a new one in that time as well', async () => {
    await Promise.all(
      SLEEPERS.map(async ({ engine, who }) => {
        const name = `${engine}-${who}`
        const sink = await target()
        const share = await network.share({ [name]: sink.address }, { engine })
        const access = await network.access([name], { engine })
        const port = access.ports[name] ?? 0
        const [up, down] = [randomBytes(8 * MIB), randomBytes(8 * MIB)]
        const arrived = sink.next()
        const client = await dial(port)
        const far = await arrived
        client.end(up)
        far.end(down)
        const begin = await readSome(far, MIB)
        const [sleeper, awake] = who === 'share' ? [share, access] : [access, share]
        process.kill(sleeper.pid, 'SIGSTOP')
        expect(await awake.logged('link closed', said('link closed'))).toMatchObject({ code: 'link-lost', waiting: 1 })
        const another = who === 'share' ? exchange(port, 'another') : null
        process.kill(sleeper.pid, 'SIGCONT')
        const rest = readAll(far)
        far.resume()
        expect(await hashAll(client)).toBe(sha256(down))
        expect(Buffer.concat([begin, await rest]).equals(up)).toBe(true)
        if (another !== null) expect((await another).toString()).toBe(sha256(Buffer.from('another')))
        expect(access.log.filter(said('connection reset'))).toEqual([])
      }),
    )
  })

  test('is reset at once when the share is killed and started again, and the next one is printed', async () => {
    const sink = await target()
    const share = await network.share({ pc1: sink.address })
    const access = await network.access(['pc1'])
    const port = access.ports.pc1 ?? 0
    const arrived = sink.next()
    const client = await dial(port)
    client.write('a job')
    await readSome(await arrived, 5)
    const ended = ending(client)
    await share.stop('SIGKILL')
    await network.share({ pc1: sink.address })
    expect(await ended).toBe('ECONNRESET')
    expect(await access.resetLogged('pc1')).toMatchObject({ code: 'peer-gone', by: 'far' })
    expect((await exchange(port, 'next')).toString()).toBe(sha256(Buffer.from('next')))
  })

  test('frees a printer that takes one at a time when its access is killed and started again', async () => {
    const sink = await target()
    await network.share({ pc1: sink.address }, { maxConnections: 1 })
    const killed = await network.access(['pc1'])
    const arrived = sink.next()
    const client = await dial(killed.ports.pc1 ?? 0)
    client.write('a job')
    const far = await arrived
    await readSome(far, 5)
    const ended = ending(far)
    await killed.stop('SIGKILL')
    const access = await network.access(['pc1'])
    expect(await ended).toBe('ECONNRESET')
    expect((await exchange(access.ports.pc1 ?? 0, 'next')).toString()).toBe(sha256(Buffer.from('next')))
  })

  test('is reset after the grace time when the path stays away, on both sides, with the reason', async () => {
    const sink = await target()
    const share = await network.share({ pc1: sink.address }, { grace: 1 })
    const access = await network.access(['pc1'], { grace: 1 })
    const arrived = sink.next()
    const client = await dial(access.ports.pc1 ?? 0)
    client.write('a job')
    const far = await arrived
    await readSome(far, 5)
    const ends = Promise.all([ending(client), ending(far)])
    process.kill(share.pid, 'SIGSTOP')
    expect(await access.resetLogged('pc1')).toMatchObject({ code: 'link-lost', reason: expect.stringContaining('1 s') })
    // Nobody is told that it is there when it is not.
    await access.logged('offline', ({ msg, state }) => msg === 'share presence' && state === 'offline')
    const { shares } = JSON.parse(await network.succeed('access', ['overview', '--json']))
    expect(shares).toMatchObject([{ name: 'pc1', online: false }])
    process.kill(share.pid, 'SIGCONT')
    // The share finds its own link dead, or hears that the connection was given up.
    expect(['link-lost', 'peer-reset']).toContain((await share.resetLogged('pc1')).code)
    expect(await ends).toEqual(['ECONNRESET', 'ECONNRESET'])
    expect((await exchange(access.ports.pc1 ?? 0, 'next')).toString()).toBe(sha256(Buffer.from('next')))
  })
})

test('names are spread over --connections, and each survives the kill and restart of the access for itself', async () => {
  const sink = await target()
  const names = ['pc1', 'pc2', 'pc3']
  const share = await network.share(Object.fromEntries(names.map((name) => [name, sink.address])))
  const start = () => network.access(names, { flags: ['--connections', '2'] })
  const ready = (peer: { readonly log: readonly LogLine[] }) => peer.log.filter(said('link ready')).length
  const before = await start()
  for (const name of names) {
    expect((await exchange(before.ports[name] ?? 0, name)).toString()).toBe(sha256(Buffer.from(name)))
  }
  expect([ready(before), ready(share)]).toEqual([2, 2])
  const ends: Promise<string>[] = []
  for (const name of names) {
    const arrived = sink.next()
    const client = await dial(before.ports[name] ?? 0)
    client.on('error', () => undefined)
    client.write('half a job')
    const far = await arrived
    await readSome(far, 5)
    ends.push(ending(far))
  }
  process.kill(before.pid, 'SIGKILL')
  const after = await start()
  await Promise.all(ends)
  for (const name of names) {
    expect((await exchange(after.ports[name] ?? 0, name)).toString()).toBe(sha256(Buffer.from(name)))
  }
})
