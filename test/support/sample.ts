/** How much of a long test runs. */

const isLong = process.env.NEARPORT_TEST_LONG === '1'

/** Of `full` repetitions, all of them in `npm run test:long`, and a tenth in `npm test`. */
export const sample = (full: number): number => (isLong ? full : Math.ceil(full / 10))

/**
 * What fast-check is to do: a {@link sample} of `full` runs, others each time. A failure prints its seed;
 * NEARPORT_TEST_SEED repeats it.
 */
export function runs(full: number): { numRuns: number; seed?: number } {
  const seed = process.env.NEARPORT_TEST_SEED
  return { numRuns: sample(full), ...(seed === undefined ? {} : { seed: Number(seed) }) }
}
