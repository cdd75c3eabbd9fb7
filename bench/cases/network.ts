/** Networks: one connection down, and the first byte, under round trips, loss and rates. */
import { ChannelPair, KINDS } from '../contenders/channels.ts'
import { type EngineName, Nearport, namesFor } from '../contenders/nearport.ts'
import { echoes } from '../network/echo.ts'
import { type Conditions, FAR_ADDRESS, NetworkPath, whyNoPath } from '../network/path.ts'
import type { Results } from '../results.ts'
import { median } from '../stats.ts'
import { ClientProcess } from '../tcp/client-process.ts'
import { TargetProcess } from '../tcp/target-process.ts'
import type { Case, Run } from './case.ts'

const CHECK = 'Networks: what the forwarder does'
const RATE = 'Networks: MB/s down one connection'
const FIRST = 'Networks: first byte of a new connection'

/** What carries bytes over the path. */
interface Carrier {
  readonly name: string
  /** Not everywhere: only where it tells something. */
  readonly only?: (conditions: Conditions) => boolean
  /** bytes a second */
  rateDown(world: World, warm: number, measured: number): Promise<number>
}

interface World {
  readonly path: NetworkPath
  readonly results: Results
  readonly nearport: Nearport
  readonly client: ClientProcess
  /** of the path's far end, for connections from the near one and from the far one */
  readonly open: TargetProcess
  readonly inner: TargetProcess
  readonly conditions: Conditions
}

export const networkCase: Case = {
  id: 'network',
  title: 'round trips, loss and rates, in network namespaces (root)',
  run: async (run) => {
    const why = whyNoPath()
    if (why !== null) return run.results.missing('networks', why)
    const path = await NetworkPath.create()
    try {
      await withWorld(path, (parts) => measureAll(run, path, parts))
    } finally {
      await path.close()
    }
  },
}

type Parts = Omit<World, 'path' | 'conditions' | 'results'>

async function withWorld(path: NetworkPath, use: (parts: Parts) => Promise<void>): Promise<void> {
  const parts = {
    nearport: await Nearport.start({ launch: path.far.launch, host: FAR_ADDRESS }),
    client: new ClientProcess(path.near.launch),
    open: await TargetProcess.start(path.far.launch, FAR_ADDRESS),
    inner: await TargetProcess.start(path.far.launch),
  }
  try {
    await use(parts)
  } finally {
    await parts.client.close()
    await parts.nearport.close()
    await Promise.all([parts.open.close(), parts.inner.close()])
  }
}

async function measureAll(run: Run, path: NetworkPath, parts: Parts): Promise<void> {
  const { results, quick, say } = run
  say('networks: the forwarder')
  await check(path, results, parts)
  const carriers = CARRIERS.filter(
    ({ name }) =>
      name.startsWith('TCP') || run.contenders.some((one) => name === one.name || name.startsWith(`${one.name},`)),
  )
  for (const conditions of quick ? QUICK_CONDITIONS : CONDITIONS) {
    const words = wordsOf(conditions)
    say(`networks: ${words}`)
    const warm = 1000 + 10 * conditions.roundTrip
    for (const { name, only, rateDown } of carriers) {
      if (only !== undefined && !only(conditions)) continue
      await path.set(conditions, 1)
      try {
        const rate = await rateDown({ ...parts, path, results, conditions }, warm, quick ? 2000 : 3000)
        results.add({ group: RATE, name: words, unit: 'MB/s' }, name, rate / 1e6)
      } catch (error) {
        results.failed(`${name}: ${words}`, error)
      }
    }
  }
  const { missed } = await path.counts()
  if (missed > 0) results.note(`The forwarder missed ${missed} frames in all: it had too little of the processor.`)
}

/** The path alone, held to what it was told. */
async function check(path: NetworkPath, results: Results, { client, open }: Parts): Promise<void> {
  const add = (name: string, unit: string, value: number) =>
    results.add({ group: CHECK, name, unit }, 'forwarder', value)
  for (const roundTrip of [1, 100]) {
    await path.set({ roundTrip, loss: 0, rate: 1000 }, 1)
    const { roundTrips } = await echoes(path, 200)
    add(`round trip where it is to be ${roundTrip} ms`, 'ms', median(roundTrips))
  }
  await path.set({ roundTrip: 1, loss: 0.5, rate: 1000 }, 1)
  const before = await path.counts()
  const { sent, roundTrips } = await echoes(path, 10_000)
  const after = await path.counts()
  const lost = after.lost - before.lost
  add('frames lost where it is to be 0.5 %', '%', (lost / (after.passed - before.passed + lost)) * 100)
  add('of 10,000 packets with their echoes, lost (0.5 % each way)', '%', (1 - roundTrips.length / sent) * 100)
  for (const rate of [10, 100, 1000]) {
    await path.set({ roundTrip: 1, loss: 0, rate }, 1)
    await path.congestionControl('cubic')
    const bytes = await client.rateDown([open.port], FAR_ADDRESS, 1000, 2000)
    add(`TCP at ${rate} Mbit/s`, 'Mbit/s', (bytes * 8) / 1e6)
    await path.quiet()
  }
}

const tcp = (congestion: string): Carrier => ({
  name: `TCP ${congestion}`,
  rateDown: async ({ path, client, open }, warm, measured) => {
    await path.congestionControl(congestion)
    const rate = await client.rateDown([open.port], FAR_ADDRESS, warm, measured)
    await path.quiet()
    return rate
  },
})

/** Calls with the ports of so many shares, all of them on one tunnel over so many connections. */
async function withShares<T>(
  { path, nearport, inner }: World,
  { engine, shares, connections }: { engine: EngineName; shares: number; connections: number },
  use: (ports: readonly number[]) => Promise<T>,
): Promise<T> {
  const names = namesFor(Array.from({ length: shares }, () => inner.port))
  const share = await nearport.share(names, { engine, launch: path.far.launch })
  try {
    const access = await nearport.access([...names.keys()], { engine, launch: path.near.launch, connections })
    try {
      return await use(access.ports)
    } finally {
      await access.child.stop('SIGKILL')
    }
  } finally {
    await share.stop('SIGKILL')
  }
}

const nearport = (engine: EngineName): Carrier => ({
  name: `nearport ${engine}`,
  rateDown: (world, warm, measured) =>
    withShares(world, { engine, shares: 1, connections: 1 }, async ([port = 0]) => {
      const { client, conditions, results } = world
      const [, ...firsts] = await client.firstBytes(port, 6, 20)
      if (conditions.loss === 0 && conditions.rate === 100) {
        const name = `${conditions.roundTrip} ms`
        results.add({ group: FIRST, name, unit: 'ms' }, `nearport ${engine}`, median(firsts))
      }
      return client.rateDown([port], '127.0.0.1', warm, measured)
    }),
})

/** MB/s of many shares together. */
const nearportShares = (engine: EngineName, shares: number, connections: number): Carrier => ({
  name: `nearport ${engine}, ${shares} shares over ${connections} ${connections === 1 ? 'connection' : 'connections'}`,
  only: isLossy,
  rateDown: (world, warm, measured) =>
    withShares(world, { engine, shares, connections }, (ports) =>
      world.client.rateDown(ports, '127.0.0.1', warm, measured),
    ),
})

const bare = (kind: (typeof KINDS)[keyof typeof KINDS], only?: Carrier['only']): Carrier => ({
  name: kind.name,
  ...(only === undefined ? {} : { only }),
  rateDown: async ({ path }, warm, measured) => {
    const pair = await ChannelPair.open(kind, { near: path.near.launch, far: path.far.launch })
    try {
      return await pair.rateDown(warm, measured)
    } finally {
      await pair.close()
    }
  },
})

/** Where one window for all the shares of a link is too small. */
const isLossy = ({ roundTrip, rate, loss }: Conditions): boolean => roundTrip === 20 && rate === 100 && loss > 0
const isFat = ({ rate, loss }: Conditions): boolean => rate === 1000 && loss === 0

const CARRIERS: readonly Carrier[] = [
  tcp('cubic'),
  tcp('bbr'),
  bare(KINDS.bareNative),
  nearport('native'),
  bare(KINDS.plainNative, isFat),
  bare(KINDS.bareWerift, isFat),
  nearport('werift'),
  nearportShares('native', 8, 1),
  nearportShares('native', 8, 4),
  nearportShares('native', 8, 8),
]

const ROUND_TRIPS = [1, 20, 50, 100]
const LOSSES = [0, 0.1, 0.5]
const RATES = [10, 100, 1000]
const CONDITIONS: readonly Conditions[] = RATES.flatMap((rate) =>
  LOSSES.flatMap((loss) => ROUND_TRIPS.map((roundTrip) => ({ roundTrip, loss, rate }))),
)
const QUICK_CONDITIONS: readonly Conditions[] = [
  { roundTrip: 20, loss: 0, rate: 100 },
  { roundTrip: 20, loss: 0.5, rate: 100 },
  { roundTrip: 50, loss: 0, rate: 1000 },
]

const wordsOf = ({ roundTrip, loss, rate }: Conditions): string => `${roundTrip} ms, ${loss} %, ${rate} Mbit/s`
