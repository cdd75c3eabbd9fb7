/** What is said of a set of samples. */

export interface Summary {
  readonly median: number
  readonly least: number
  readonly most: number
  readonly count: number
}

/** Throws if there are none. */
export function summary(samples: readonly number[]): Summary {
  if (samples.length === 0) throw new Error('no samples')
  return { median: median(samples), least: Math.min(...samples), most: Math.max(...samples), count: samples.length }
}

/** Of an even number of samples, the mean of the two in the middle. Throws if there are none. */
export function median(samples: readonly number[]): number {
  const sorted = ascending(samples)
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]]
  if (low === undefined || high === undefined) throw new Error('no samples')
  return (low + high) / 2
}

/** The least sample that `percent` (more than 0, at most 100) of them do not exceed. Throws if there are none. */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = ascending(samples)
  const found = sorted[Math.ceil((sorted.length * percent) / 100) - 1]
  if (found === undefined) throw new Error('no samples')
  return found
}

const ascending = (samples: readonly number[]): number[] => [...samples].sort((a, b) => a - b)
