/** Short connections: how many a second. */
import { short } from '../tcp/load.ts'
import { type Case, compare, isTcp, withWays } from './case.ts'

const GROUP = 'Short connections of 2 KiB'
const LOADS = [
  { name: 'one after another', atOnce: 1 },
  { name: '32 at a time', atOnce: 32 },
]

export const shortCase: Case = {
  id: 'short',
  title: '1,000 connections of 2 KiB, one after another and 32 at a time',
  run: async (run) => {
    // Of a slow contender not all of them are waited for.
    const [connections, most] = run.quick ? [300, 2] : [1000, 6]
    await withWays(run, isTcp, 1, async (entries) => {
      for (const { name, atOnce } of LOADS) {
        run.say(`short connections: ${name}`)
        await compare(run, entries, name, async ({ contender, way }, round) => {
          const rate = await short(way.ports[0] ?? 0, { connections, atOnce, most })
          if (round > 0) run.results.add({ group: GROUP, name, unit: '1/s' }, contender.name, rate)
        })
      }
    })
  },
}
