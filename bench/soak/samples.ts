/** Memory and handles of every process over time, and whether they grow. */
import { readdir, readFile } from 'node:fs/promises'
import type { Instance, Service } from './service.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const KIB = 1024
export const MIB = 1024 * KIB
export const SAMPLE_EVERY = 5 * SECOND

/** What a process may have more in its last minute (median) than at most in its first. */
export const BOUNDS = {
  /** bytes. The heap of V8 finds its size slowly: it takes a full collection to give back what a burst of jobs took. */
  memory: 48 * MIB,
  /** open files and sockets: jobs under way, and links being made while old ones end. */
  handles: 16,
} as const
/** ms a process must have lived to be compared */
const LEAST_LIFE = 2 * MINUTE

export interface Sample {
  readonly instance: Instance
  readonly at: number
  /** bytes */
  readonly rss: number
  /** bytes: the most it ever had */
  readonly peak: number
  readonly handles: number
}

/** null: the system does not tell, or the process is gone. */
export async function sample(instance: Instance): Promise<Sample | null> {
  const folder = `/proc/${instance.pid}`
  try {
    const [status, handles] = await Promise.all([readFile(`${folder}/status`, 'utf8'), readdir(`${folder}/fd`)])
    const bytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * KIB
    const [rss, peak] = [bytes('VmRSS'), bytes('VmHWM')]
    // A process that has ended and was not yet waited for has no memory.
    if (Number.isNaN(rss) || Number.isNaN(peak)) return null
    return { instance, at: Date.now(), rss, peak, handles: handles.length }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return null
    throw error
  }
}

/** Samples every process now. */
export async function sampleAll(services: readonly Service[]): Promise<Sample[]> {
  const running = services.flatMap(({ instance }) => (instance === null ? [] : [instance]))
  const taken = await Promise.all(running.map((instance) => sample(instance)))
  return taken.flatMap((one) => (one === null ? [] : [one]))
}

export interface Growth {
  readonly instance: Instance
  readonly lived: number
  /** most memory and handles in the first minute */
  readonly first: { readonly rss: number; readonly handles: number }
  /** medians of the last minute */
  readonly last: { readonly rss: number; readonly handles: number }
  readonly peak: number
  /** bytes a minute, by least squares over everything after the first minute */
  readonly slope: number
  readonly grows: boolean
}

/** Compares each process that lived long enough with itself in its first minute. */
export function growths(samples: readonly Sample[]): Growth[] {
  const byInstance = new Map<Instance, Sample[]>()
  for (const one of samples) byInstance.set(one.instance, [...(byInstance.get(one.instance) ?? []), one])
  return [...byInstance].flatMap(([instance, own]) => growthOf(instance, own))
}

function growthOf(instance: Instance, samples: readonly Sample[]): Growth[] {
  const end = samples.at(-1)?.at ?? 0
  const lived = end - instance.startedAt
  const early = samples.filter(({ at }) => at <= instance.startedAt + MINUTE)
  const late = samples.filter(({ at }) => at > end - MINUTE)
  if (lived < LEAST_LIFE || early.length === 0) return []
  const most = (of: (sample: Sample) => number) => Math.max(...early.map(of))
  const first = { rss: most(({ rss }) => rss), handles: most(({ handles }) => handles) }
  const last = { rss: median(late.map(({ rss }) => rss)), handles: median(late.map(({ handles }) => handles)) }
  const grows = last.rss > first.rss + BOUNDS.memory || last.handles > first.handles + BOUNDS.handles
  const slope = slopeOf(samples.filter(({ at }) => at > instance.startedAt + MINUTE))
  return [{ instance, lived, first, last, peak: samples.at(-1)?.peak ?? 0, slope, grows }]
}

const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0

function slopeOf(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number) => samples.reduce((sum, one) => sum + of(one), 0) / samples.length
  const [at, rss] = [mean((one) => one.at), mean((one) => one.rss)]
  const over = mean((one) => (one.at - at) * (one.rss - rss))
  const under = mean((one) => (one.at - at) ** 2)
  return under > 0 ? (over / under) * MINUTE : 0
}
