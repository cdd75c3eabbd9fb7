/** Bytes in bulk: how fast, and for how much CPU. */
import { processesOf } from '../contenders/contender.ts'
import { cpuSeconds } from '../processes.ts'
import type { Direction } from '../tcp/load.ts'
import { type Case, compare, type Entry, type Run, withWays } from './case.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const GROUP = 'Bulk'
/** Of the first run of each, which tells how much to send in the next. */
const FIRST_BYTES = 2 * MIB

interface Load {
  readonly name: string
  readonly direction: Direction
  readonly connections: number
  readonly shares: number
}

const load = (direction: Direction, connections: number): Load => ({
  name: `${direction}, ${connections} connection${connections === 1 ? '' : 's'}`,
  direction,
  connections,
  shares: 1,
})
const shares = (count: number): Load => ({
  name: `up, ${count} shares`,
  direction: 'up',
  connections: count,
  shares: count,
})

const LOADS: readonly Load[] = [
  load('up', 1),
  load('down', 1),
  load('both', 1),
  load('up', 16),
  load('down', 16),
  load('up', 200),
  load('down', 200),
  shares(4),
  shares(40),
]
const QUICK_LOADS: readonly Load[] = [load('up', 1), load('down', 1), load('up', 16), load('up', 200), shares(4)]

export const bulkCase: Case = {
  id: 'bulk',
  title: 'bulk over 1, 16 and 200 connections, and over 4 and 40 shares; CPU',
  run: async (run) => {
    const loads = run.quick ? QUICK_LOADS : LOADS
    const most = Math.max(...loads.map(({ shares }) => shares))
    await withWays(
      run,
      () => true,
      most,
      async (entries) => {
        for (const one of loads) {
          run.say(`bulk: ${one.name}`)
          await measure(
            run,
            entries.filter((entry) => takes(run, entry, one)),
            one,
          )
        }
      },
    )
  },
}

/** A naive writer is compared over one connection only: it has no more than one. */
function takes({ results }: Run, { contender, way }: Entry, { name, connections, shares }: Load): boolean {
  if (contender.kind === 'channel') return shares === 1 && (connections === 1 || contender.name.startsWith('bare'))
  if (way.ports.length >= shares) return true
  results.missing(`${contender.name}: ${name}`, `takes two processes a share: at most ${way.ports.length} shares`)
  return false
}

async function measure(run: Run, entries: readonly Entry[], load: Load): Promise<void> {
  const seconds = run.quick ? 0.6 : 1.5
  const bytes = new Map<Entry, number>()
  await compare(run, entries, load.name, async (entry, round) => {
    const { contender, way } = entry
    const size = bytes.get(entry) ?? FIRST_BYTES
    const pids = processesOf(way)
    const before = await cpuSeconds(pids)
    const took = await way.bulk({ ...load, bytes: size })
    const cpu = (await cpuSeconds(pids)) - before
    bytes.set(entry, Math.min(Math.max((size / took) * seconds, FIRST_BYTES), 4 * GIB))
    if (round === 0) return
    run.results.add({ group: GROUP, name: load.name, unit: 'MB/s' }, contender.name, size / 1e6 / took)
    if (pids.length > 0 && load.connections === 1 && load.direction !== 'both') {
      run.results.add({ group: GROUP, name: `CPU, ${load.name}`, unit: 's/GiB' }, contender.name, (cpu / size) * GIB)
    }
  })
}
