/** A small job on one share while another share is busy, against the same on an idle link. */
import { setTimeout as delay } from 'node:timers/promises'
import { median, percentile } from '../stats.ts'
import { ClientProcess } from '../tcp/client-process.ts'
import { Line } from '../tcp/line.ts'
import { type Case, compare, type Entry, isTcp, type Run, withWays } from './case.ts'

const GROUP = 'A job of 2 KiB on one share, while another is busy'
const DIRECTIONS = [
  { name: 'up', job: { up: 2 ** 45, down: 0 } },
  { name: 'down', job: { up: 0, down: 2 ** 45 } },
]

export const fairCase: Case = {
  id: 'fair',
  title: 'a job of 2 KiB beside bulk on another share of the same link',
  run: async (run) => {
    // The small jobs are of another program than the bulk: of none of them the wait is to be the bench's own.
    const till = new ClientProcess([])
    await withWays(run, isTcp, 2, async (entries) => {
      run.say('a small job beside bulk')
      // Two processes for each share have no link that they share.
      const sharing = entries.filter(({ contender }) => contender.name !== 'hypertele')
      await compare(run, sharing, 'beside bulk', (entry, round) => measure(run, till, entry, round))
    })
    await till.close()
  },
}

async function measure(
  { results, quick }: Run,
  till: ClientProcess,
  { contender, way }: Entry,
  round: number,
): Promise<void> {
  const [busy = 0, other = 0] = way.ports
  const count = quick ? 30 : 80
  const add = (name: string, value: number) => {
    if (round > 0) results.add({ group: GROUP, name, unit: 'ms', isDifference: true }, contender.name, value)
  }
  for (const { name, job } of DIRECTIONS) {
    const idle = median(await till.firstBytes(other, count, 5, 2048))
    const line = await Line.open(busy)
    // Never done: it is ended by destroy().
    line.run(job).catch(() => undefined)
    await delay(500)
    const samples = await till.firstBytes(other, count, 5, 2048)
    line.destroy()
    // Until what was under way has drained.
    await delay(300)
    add(`beside bulk ${name}, slower by (median)`, median(samples) - idle)
    add(`beside bulk ${name}, slower by (p95)`, percentile(samples, 95) - idle)
  }
}
