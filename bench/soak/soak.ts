/**
 * `npm run soak`: a whole network of real processes, with jobs and random faults for a time, and every byte checked.
 *
 *     npm run soak -- [--minutes 3] [--seed N] [--engine native,werift] [--report FILE.md]
 *
 * As root on Linux it runs in a network namespace of its own, and cuts links there. The exit status is 0 if all is well.
 */
import { randomInt } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { Command, InvalidArgumentError } from 'commander'
import { ENGINE_CHOICES, wholeNumber } from '../../peer/commands/options.ts'
import { Cutter, isInside, runInside, whyNoNamespace } from './network.ts'
import { hasPassed, reportOf } from './report.ts'
import { Soak } from './run.ts'
import { World } from './world.ts'

interface Flags {
  readonly minutes: number
  readonly seed: number
  readonly engine: readonly string[]
  readonly report?: string
}

function parseEngines(text: string): string[] {
  const engines = text.split(',')
  if (engines.every((engine) => (ENGINE_CHOICES as readonly string[]).includes(engine))) return engines
  throw new InvalidArgumentError(`They must be of ${ENGINE_CHOICES.join(', ')}, with commas between.`)
}

const flags = new Command('npm run soak --')
  .description('jobs under random faults, each checked byte by byte')
  .option('--minutes <n>', 'how long there are faults', wholeNumber(1, 10_000), 3)
  .option('--seed <n>', 'the same faults and jobs again (not at the very same moments)', wholeNumber(0, 2 ** 32 - 1))
  .option('--engine <engines>', 'of the first and the second share and access', parseEngines, ['native', 'werift'])
  .option('--report <file>', 'where to write the report (default: standard output)')
  .parse()
  .opts<Flags>()

const noCuts = whyNoNamespace()
// What was interrupted has timers and connections left that nobody waits for.
process.exit(noCuts === null && !isInside() ? await runInside() : await main())

async function main(): Promise<number> {
  const options = { minutes: flags.minutes, seed: flags.seed ?? randomInt(2 ** 32 - 1), engines: flags.engine }
  const say = (line: string) => process.stderr.write(`soak: ${line}\n`)
  say(`${options.minutes} minutes, seed ${options.seed}, engines ${options.engines.join(' and ')}`)
  const cutter = noCuts === null ? await Cutter.start() : null
  if (noCuts !== null) say(`links are not cut: ${noCuts}`)
  const world = await World.start(options.engines)
  const interrupted = new Promise<null>((resolve) => {
    // A second one must not end us before what we started has ended: `timeout` signals the whole group.
    process.on('SIGINT', () => resolve(null))
    process.on('SIGTERM', () => resolve(null))
  })
  try {
    const results = await Promise.race([new Soak(world, options, cutter, say).run(), interrupted])
    if (results === null) return 1
    const report = reportOf(results, options, noCuts)
    if (flags.report === undefined) process.stdout.write(report)
    else await writeFile(flags.report, report)
    say(hasPassed(results) ? 'passed' : 'FAILED')
    return hasPassed(results) ? 0 : 1
  } finally {
    await world.stop()
  }
}
