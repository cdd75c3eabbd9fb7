/** From connect() to the first byte back, where everything is up and idle. */
import { percentile } from '../stats.ts'
import { firstBytes } from '../tcp/load.ts'
import { type Case, compare, isTcp, withWays } from './case.ts'

const GROUP = 'First byte of a new connection, idle'

export const firstByteCase: Case = {
  id: 'first-byte',
  title: 'the first byte back on a new connection over a warm link',
  run: async (run) => {
    await withWays(run, isTcp, 1, async (entries) => {
      run.say('first byte, warm')
      await compare(run, entries, 'first byte', async ({ contender, way }, round) => {
        const samples = await firstBytes(way.ports[0] ?? 0, run.quick ? 100 : 400, 2)
        if (round === 0) return
        for (const percent of [50, 95, 99]) {
          run.results.add(
            { group: GROUP, name: `p${percent}`, unit: 'ms' },
            contender.name,
            percentile(samples, percent),
          )
        }
      })
    })
  },
}
