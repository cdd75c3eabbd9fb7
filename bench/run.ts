/**
 * `npm run bench`: nearport against what one would use instead, in interleaved rounds on this machine, over loopback.
 *
 *     npm run bench -- [--quick] [--case bulk,cold] [--contender "raw TCP,nearport native"] [--rounds 5]
 *                      [--json FILE] [--markdown FILE]
 *
 * The exit status is 1 if something failed that should have worked. A goal that is not met is no failure.
 */
import { writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import { CommanderError } from 'commander'
import { CASES } from './cases/all.ts'
import type { Run } from './cases/case.ts'
import { undoAtExit } from './cleanup.ts'
import { CONTENDERS } from './contenders/all.ts'
import type { Contender } from './contenders/contender.ts'
import { type Options, parseOptions } from './options.ts'
import { canMeasure } from './processes.ts'
import { type Circumstances, json, markdown } from './report.ts'
import { Results } from './results.ts'

const say = (line: string): void => {
  process.stderr.write(`bench: ${line}\n`)
}

async function main(words: readonly string[]): Promise<number> {
  const options = parseOptions(words, { cases: CASES, contenders: CONTENDERS })
  if (!canMeasure()) {
    say('needs Linux: what a process uses is read from /proc')
    return 2
  }
  const results = new Results()
  const run: Run = {
    contenders: await present(options, results),
    results,
    quick: options.quick,
    rounds: options.rounds,
    say,
  }
  const [load = 0] = loadavg()
  const circumstances = circumstancesOf(options, words, load)
  // What was found is told, however this ends.
  const finish = undoAtExit(() => {
    results.note('This run was interrupted.')
    write(options, results, circumstances)
  })
  const begun = performance.now()
  for (const one of CASES.filter(({ id }) => options.cases.includes(id))) await one.run(run)
  say(`took ${Math.round((performance.now() - begun) / 1000)} s`)
  finish()
  write(options, results, circumstances)
  return results.hasFailed ? 1 : 0
}

function write(options: Options, results: Results, circumstances: Circumstances): void {
  if (options.json !== null) writeFileSync(options.json, json(results, circumstances))
  const report = markdown(results, circumstances, CONTENDERS)
  if (options.markdown === null) process.stdout.write(report)
  else writeFileSync(options.markdown, report)
}

/** The contenders that are asked for and can be had; the others are listed as missing. */
async function present(options: Options, results: Results): Promise<Contender[]> {
  const found: Contender[] = []
  for (const contender of CONTENDERS.filter(({ name }) => options.contenders.includes(name))) {
    const absent = await contender.absent()
    if (absent === null) found.push(contender)
    else results.missing(contender.name, absent)
  }
  return found
}

function circumstancesOf({ rounds, quick }: Options, words: readonly string[], load: number): Circumstances {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  const gib = Math.round(totalmem() / 1024 ** 3)
  return {
    when: new Date().toISOString(),
    command: ['npm run bench', ...(words.length > 0 ? ['--', ...words] : [])].join(' '),
    node: process.version,
    machine: `${availableParallelism()} × ${model}, ${gib} GiB`,
    rounds,
    quick,
    load,
  }
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  // Commander has said what is wrong.
  if (!(error instanceof CommanderError)) throw error
  process.exitCode = error.exitCode === 0 ? 0 : 2
}
