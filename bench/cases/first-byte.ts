/** From connect() to the first byte back, where everything is up and idle. */
import { percentile } from '../stats.ts'
import { echoes, firstBytes } from '../tcp/load.ts'
import { type Case, compare, isTcp, withWays } from './case.ts'

const GROUP = 'First byte of a new connection, idle'

export const firstByteCase: Case = {
  id: 'first-byte',
  title: 'the first byte back on a new connection over a warm link',
  run: async (run) => {
    await withWays(run, isTcp, 1, async (entries) => {
      run.say('first byte, warm')
      const count = run.quick ? 100 : 400
      await compare(run, entries, 'first byte', async ({ contender, way }, round) => {
        const [port = 0] = way.ports
        const samples = await firstBytes(port, count, 2)
        const roundTrip = percentile(await echoes(port, count, 2), 50)
        if (round === 0) return
        const add = (name: string, ms: number) =>
          run.results.add({ group: GROUP, name, unit: 'ms' }, contender.name, ms)
        add('a byte and its answer on an open connection, p50', roundTrip)
        add('p50, beyond that', percentile(samples, 50) - roundTrip)
        for (const percent of [50, 95, 99]) add(`p${percent}`, percentile(samples, percent))
      })
    })
  },
}
