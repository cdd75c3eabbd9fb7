/** One connection that is not read, and fifteen that are: what it costs them, and how much memory it takes. */
import { setTimeout as delay } from 'node:timers/promises'
import { residentBytes } from '../processes.ts'
import { Line } from '../tcp/line.ts'
import { type Case, compare, type Entry, isTcp, type Run, withWays } from './case.ts'

const MIB = 1024 * 1024
const PACE = 'pace of the active, of that without'
const GROUP = 'One connection stalled, fifteen active'
/** bytes that the stalled connection would send */
const STALLED_BYTES = 64 * MIB

export const stalledCase: Case = {
  id: 'stalled',
  title: 'one stalled and fifteen active connections',
  run: async (run) => {
    await withWays(
      run,
      (contender) => isTcp(contender) && contender.name !== 'raw TCP',
      1,
      async (entries) => {
        run.say('one stalled, fifteen active')
        const sizes = new Map<Entry, number>()
        await compare(run, entries, 'stalled', (entry, round) => measure(run, entry, round, sizes))
      },
    )
  },
}

async function measure({ results, quick }: Run, entry: Entry, round: number, sizes: Map<Entry, number>): Promise<void> {
  const { contender, way } = entry
  const bytes = sizes.get(entry) ?? 16 * MIB
  const load = { direction: 'up', connections: 15, shares: 1, bytes } as const
  const first = await way.bulk(load)
  const before = await Promise.all([residentBytes(way.near), residentBytes(way.far)])
  const stalled = await Line.open(way.ports[0] ?? 0)
  try {
    stalled.stall(STALLED_BYTES)
    // Until it has filled what it can.
    await delay(500)
    const after = await Promise.all([residentBytes(way.near), residentBytes(way.far)])
    const beside = await way.bulk(load)
    stalled.destroy()
    // Half before and half after, so that code that was not compiled yet is not counted for either.
    const alone = (first + (await way.bulk(load))) / 2
    sizes.set(entry, (bytes / alone) * (quick ? 0.5 : 1))
    if (round === 0) return
    results.add({ group: GROUP, name: PACE, unit: '' }, contender.name, alone / beside)
    for (const [index, side] of ['access side', 'share side'].entries()) {
      const grown = ((after[index] ?? 0) - (before[index] ?? 0)) / MIB
      results.add({ group: GROUP, name: `memory, ${side}`, unit: 'MiB', isDifference: true }, contender.name, grown)
    }
  } finally {
    stalled.destroy()
  }
}
