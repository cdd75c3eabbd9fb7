/** How a bare channel is best written to: what the settings of the bare contenders are chosen by. */
import { channel, KINDS } from '../contenders/channels.ts'
import { type Case, compare, withWays } from './case.ts'

const KIB = 1024
const MIB = 1024 * KIB
const GROUP = 'Bare channels, by message and high-water mark'
const MESSAGES = [16, 32, 64]
const HIGH_WATERS = [64, 128, 256, 1024]

export const writingCase: Case = {
  id: 'writing',
  title: 'bare channels by message and high-water mark',
  run: async (run) => {
    for (const kind of [KINDS.bareNative, KINDS.bareWerift]) {
      if (!run.contenders.some(({ name }) => name === kind.name)) continue
      run.say(`writing: ${kind.name}`)
      const contenders = MESSAGES.flatMap((message) =>
        HIGH_WATERS.map((highWater) =>
          channel({
            ...kind,
            name: `${message} KiB, ${highWater} KiB buffered`,
            writing: { message: message * KIB, highWater: highWater * KIB },
          }),
        ),
      )
      const bytes = (kind.engine === 'native' ? 64 : 12) * MIB
      await withWays(
        { ...run, contenders },
        () => true,
        1,
        async (entries) => {
          await compare(run, entries, kind.name, async ({ contender, way }, round) => {
            const took = await way.bulk({ direction: 'up', bytes, connections: 1, shares: 1 })
            if (round === 0) return
            run.results.add({ group: GROUP, name: kind.name, unit: 'MB/s' }, contender.name, bytes / 1e6 / took)
          })
        },
      )
    }
  },
}
