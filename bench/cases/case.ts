/** What a case of the bench gets, and how it compares contenders. */
import type { Contender, Way } from '../contenders/contender.ts'
import type { Results } from '../results.ts'
import { TargetProcess } from '../tcp/target-process.ts'

export interface Run {
  /** Those that are here and were asked for. */
  readonly contenders: readonly Contender[]
  readonly results: Results
  /** Less of everything: to see that it works, and the great differences. */
  readonly quick: boolean
  /** Measured rounds, after one that warms up. */
  readonly rounds: number
  readonly say: (line: string) => void
}

export interface Case {
  readonly id: string
  readonly title: string
  run(run: Run): Promise<void>
}

/** A contender that is up. */
export interface Entry {
  readonly contender: Contender
  readonly way: Way
}

/** Gives `use` every contender that fits, each started with so many targets, or as many as it takes, and ends them. */
export async function withWays(
  { contenders, results }: Run,
  fits: (contender: Contender) => boolean,
  targets: number,
  use: (entries: readonly Entry[]) => Promise<void>,
): Promise<void> {
  const target = await TargetProcess.start()
  const entries: Entry[] = []
  try {
    for (const contender of contenders.filter(fits)) {
      const count = Math.min(targets, contender.mostTargets ?? targets)
      try {
        entries.push({ contender, way: await contender.start(Array.from({ length: count }, () => target.port)) })
      } catch (error) {
        results.failed(contender.name, error)
      }
    }
    await use(entries)
  } finally {
    for (const { way } of entries) await way.close()
    await target.close()
  }
}

/**
 * Calls `measure` for each entry in each round, one after another, so that what changes on the machine changes for
 * all; the order is another in each round. Round 0 warms up. What fails is reported, and measured no more.
 */
export async function compare<E extends { readonly contender: { readonly name: string } }>(
  { rounds, results }: Run,
  entries: readonly E[],
  what: string,
  measure: (entry: E, round: number) => Promise<void>,
): Promise<void> {
  const failed = new Set<E>()
  for (let round = 0; round <= rounds; round++) {
    for (let turn = 0; turn < entries.length; turn++) {
      const entry = entries[(round + turn) % entries.length]
      if (entry === undefined || failed.has(entry)) continue
      try {
        await measure(entry, round)
      } catch (error) {
        failed.add(entry)
        results.failed(`${entry.contender.name}: ${what}`, error)
      }
    }
  }
}

export const isTcp = ({ kind }: Contender): boolean => kind === 'tcp'
