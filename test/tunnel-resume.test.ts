/** A tunnel that goes from one link to the next, over each engine. */
import { randomBytes } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { Engine } from '../shared/engine.ts'
import { NearportError } from '../shared/errors.ts'
import { encodeFrame } from '../shared/frames.ts'
import { LIMITS } from '../shared/limits.ts'
import type { Link } from '../shared/link.ts'
import { Scheduler } from '../shared/scheduler.ts'
import type { MuxStream } from '../shared/stream.ts'
import type { Tunnel } from '../shared/tunnel.ts'
import { Tunnels } from '../shared/tunnels.ts'
import {
  availableEngines,
  linkPair,
  type Member,
  type Network,
  newMember,
  newNetwork,
  newTunnels,
  type Tunnels as TunnelPair,
} from './support/links.ts'
import { MemoryCarrier } from './support/mux-pair.ts'

const MINUTE = 60_000
const JOB = randomBytes(6 * 1024 * 1024)
const engines = await availableEngines()
let network: Network
let access: Member
let share: Member
const made: Link[] = []
const opened: TunnelPair[] = []

beforeAll(async () => {
  ;[network, access, share] = await Promise.all([newNetwork(), newMember(), newMember()])
})
afterEach(async () => {
  const reason = new NearportError('shutting-down', 'the test is over')
  await Promise.all(made.splice(0).map((link) => link.close(reason)))
  for (const tunnels of opened.splice(0)) for (const tunnel of [tunnels.access, tunnels.share]) tunnel.close(reason)
})
afterAll(async () => {
  for (const engine of engines) await engine.close()
})

async function link(engine: Engine, tunnels: TunnelPair) {
  const links = linkPair({ engine, network, access, share, tunnels })
  made.push(links.access, links.share)
  opened.push(tunnels)
  await Promise.all([links.access.ready, links.share.ready])
  return links
}

/** Once it holds; events of the engines come in between. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await setImmediate()
}

const lost = () => new NearportError('link-lost', 'the cable was pulled')

/** The share side of a printer that says when it has the first `bytes`, and answers with all it got. */
function echo(bytes: number) {
  const chunks: Uint8Array[] = []
  let told = (): void => undefined
  const some = new Promise<void>((resolve) => {
    told = resolve
  })
  const accept = () => (stream: MuxStream) => {
    stream.ondata = (chunk) => {
      chunks.push(chunk.slice())
      stream.taken(chunk.length)
      if (chunks.reduce((sum, { length }) => sum + length, 0) >= bytes) told()
    }
    stream.onend = () => {
      for (const chunk of chunks) stream.write(chunk)
      stream.end()
    }
  }
  return { accept, some }
}

/** What comes back on a stream; rejects if it is reset. */
function answer(stream: MuxStream): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  return new Promise((resolve, reject) => {
    stream.ondata = (chunk) => {
      chunks.push(chunk.slice())
      stream.taken(chunk.length)
    }
    stream.onend = () => resolve(Buffer.concat(chunks))
    stream.onreset = reject
  })
}

describe('a share', () => {
  const reason = new NearportError('shutting-down', 'the test is over')

  test('has one tunnel for a process: another one ends that before', async () => {
    const all = new Tunnels(() => () => undefined, MINUTE)
    const first = all.take('till', 'shop', { id: 'one', slot: 0 })
    expect(all.take('till', 'shop', { id: 'one', slot: 0 })).toBe(first)
    all.take('till', 'shop', { id: 'two', slot: 0 })
    expect((await first.closed).code).toBe('peer-reset')
    all.close(reason)
  })

  test('ends the tunnel of a process that is said to be killed, and of no other', async () => {
    const all = new Tunnels(() => () => undefined, MINUTE)
    const [killed, other] = [
      all.take('killed', 'shop', { id: 'one', slot: 0 }),
      all.take('other', 'shop', { id: 'two', slot: 0 }),
    ]
    await all.end('killed', 'shop')
    expect([killed.isClosed, other.isClosed]).toEqual([true, false])
    all.close(reason)
  })

  test('knows the tunnels of a process by their slots: a new id takes the place of one, and a kill ends them all', async () => {
    const all = new Tunnels(() => () => undefined, MINUTE)
    const take = (id: string, slot: number) => all.take('till', 'shop', { id, slot })
    const [first, second] = [take('one', 0), take('two', 1)]
    expect([take('one', 0), take('two', 1)]).toEqual([first, second])
    const third = take('three', 1)
    expect([first, second, third].map(({ isClosed }) => isClosed)).toEqual([false, true, false])
    await all.end('till', 'shop')
    expect([first, third].map(({ isClosed }) => isClosed)).toEqual([true, true])
  })

  test('lets only so many wait for their path: first ends what holds nothing, then what its owner has most of', async () => {
    const all = new Tunnels(() => () => undefined, MINUTE)
    const hold = (tunnel: Tunnel) => {
      const mux = tunnel.accept(1, 'pc1', false)
      mux.attach(new Scheduler(1).addLane(new MemoryCarrier()), false)
      mux.receive(encodeFrame({ type: 'OPEN', stream: 1 }))
      return tunnel
    }
    const honest = hold(all.take('till', 'shop', { id: 'id', slot: 0 }))
    const idle = all.take('idle', 'shop', { id: 'id', slot: 0 })
    const many = Array.from({ length: LIMITS.linksPerProcess - 1 }, (_, index) =>
      hold(all.take(`other ${index}`, 'greedy', { id: 'id', slot: 0 })),
    )
    expect((await idle.closed).code).toBe('too-many-links')
    all.take('one more', 'greedy', { id: 'id', slot: 0 })
    expect((await many[0]?.closed)?.code).toBe('too-many-links')
    expect([honest, ...many].filter(({ isClosed }) => isClosed)).toHaveLength(1)
    all.close(reason)
  })
})

describe.each(engines.map((engine) => [engine.name, engine] as const))('%s', (_name, engine) => {
  test('a job under way when its link is lost goes on on the next, in both directions', async () => {
    const { accept, some } = echo(JOB.length / 3)
    const tunnels = newTunnels(accept, MINUTE)
    const first = await link(engine, tunnels)
    const stream = (await tunnels.access.open('pc1')).open()
    const back = answer(stream)
    stream.write(JOB)
    stream.end()
    await some
    await first.access.close(lost())
    expect(tunnels.share.streams).toBe(1)
    await link(engine, tunnels)
    expect((await back).equals(JOB)).toBe(true)
  })

  test('a newer link takes the tunnel over from one that is up', async () => {
    const { accept, some } = echo(1)
    const tunnels = newTunnels(accept, MINUTE)
    const first = await link(engine, tunnels)
    const stream = (await tunnels.access.open('pc1')).open()
    const back = answer(stream)
    stream.write(JOB)
    stream.end()
    await some
    await link(engine, tunnels)
    expect((await first.share.closed).code).toBe('link-lost')
    expect((await back).equals(JOB)).toBe(true)
  })

  test('what was given up, or belongs to a process that is gone, is reset and never resumed', async () => {
    const tunnels = newTunnels(undefined, MINUTE)
    const first = await link(engine, tunnels)
    const stream = (await tunnels.access.open('pc1')).open()
    const reset = answer(stream).catch((reason: NearportError) => reason.code)
    stream.write(JOB)
    await first.access.close(lost())
    await link(engine, { access: tunnels.access, share: newTunnels().share })
    expect(await reset).toBe('resume-refused')
    expect(tunnels.access.streams).toBe(0)
    // The name itself is open to new connections.
    await expect(tunnels.access.open('pc1')).resolves.toBeDefined()
  })

  test.each(['proof-timeout', 'link-timeout'] as const)(
    'a link that failed on the other side while ready here (%s) is a lost one',
    async (code) => {
      const tunnels = newTunnels(undefined, MINUTE)
      const first = await link(engine, tunnels)
      ;(await tunnels.access.open('pc1')).open().write(JOB)
      await first.access.close(new NearportError(code, 'too slow'))
      await first.share.closed
      expect([tunnels.access.isClosed, tunnels.share.isClosed]).toEqual([false, false])
    },
  )

  test('a share that was given up while there was no link ends on the other side too, and its number is not used again', async () => {
    const tunnels = newTunnels(undefined, MINUTE)
    const first = await link(engine, tunnels)
    const [one, two] = [await tunnels.access.open('pc1'), await tunnels.access.open('pc2')]
    one.open()
    two.open()
    await until(() => tunnels.share.streams === 2)
    await first.access.close(lost())
    tunnels.access.withdraw('pc1', new NearportError('peer-gone', 'moved'))
    await link(engine, tunnels)
    await until(() => tunnels.share.streams === 1)
    expect(two.isClosed).toBe(false)
    await expect(tunnels.access.open('pc1')).resolves.toBeDefined()
  })

  test('a tunnel that ends takes its link with it', async () => {
    const tunnels = newTunnels(undefined, MINUTE)
    const { access: near, share: far } = await link(engine, tunnels)
    tunnels.access.close(new NearportError('shutting-down', 'used up'))
    expect([(await near.closed).code, (await far.closed).code]).toEqual(['shutting-down', 'shutting-down'])
    expect(tunnels.share.isClosed).toBe(true)
  })

  test('after the grace time every connection is reset, on both sides', async () => {
    const tunnels = newTunnels(undefined, 10)
    const first = await link(engine, tunnels)
    const stream = (await tunnels.access.open('pc1')).open()
    const reset = answer(stream).catch((reason: NearportError) => reason)
    stream.write(JOB)
    await first.access.close(lost())
    expect(await reset).toMatchObject({ code: 'link-lost', message: expect.stringContaining('the cable was pulled') })
    expect((await tunnels.share.closed).code).toBe('link-lost')
    expect([tunnels.access.streams, tunnels.share.streams]).toEqual([0, 0])
  })

  test('a side that ends the link on purpose ends the tunnel', async () => {
    const tunnels = newTunnels(undefined, MINUTE)
    const first = await link(engine, tunnels)
    const stream = (await tunnels.access.open('pc1')).open()
    const reset = answer(stream).catch((reason: NearportError) => reason.code)
    await first.share.close(new NearportError('shutting-down', 'stopped'))
    expect(await reset).toBe('shutting-down')
    expect((await tunnels.share.closed).code).toBe('shutting-down')
  })
})
