/** Why a job was lost, by the log of its access process, and which fault explains that. */
import type { Fault, FaultKind } from './faults.ts'
import type { Job } from './till.ts'
import type { World } from './world.ts'

const SECOND = 1000
/** A link is given up after 15 s, its jobs after a grace time of 60 s, by a process that may have slept for 25 s. */
const LATEST = 120 * SECOND

const PATH: readonly FaultKind[] = ['all links cut', 'ports cut']
const SHARE: readonly FaultKind[] = ['kill share', 'stop share', 'share asleep']
const ACCESS: readonly FaultKind[] = ['kill access', 'stop access', 'access asleep']
const SIGNALING: readonly FaultKind[] = ['kill signaling', 'stop signaling', 'signaling asleep']

/** What may lead to a reset with this code. A code that is not here is a fault of nearport, whatever went on. */
const CAUSES: Readonly<Record<string, readonly FaultKind[]>> = {
  'link-lost': [...PATH, ...SHARE, ...ACCESS],
  'link-timeout': [...PATH, ...SHARE, ...ACCESS, ...SIGNALING],
  'proof-timeout': [...PATH, ...SHARE, ...ACCESS],
  'peer-gone': [...SHARE, ...ACCESS, ...SIGNALING],
  'shutting-down': ['stop share', 'stop access'],
  'name-offline': [...SHARE, ...SIGNALING],
  // The grace time was over on one side first.
  'resume-refused': [...PATH, ...SHARE, ...ACCESS],
  'server-unreachable': SIGNALING,
  'server-timeout': SIGNALING,
  'target-refused': ['printer off'],
  'peer-reset': ['printer off'],
}

export interface Explained {
  readonly job: Job
  /** for people, and to count by */
  readonly reason: string
  /** false: nothing that was done explains it */
  readonly explained: boolean
}

/** ms by which what we see of an end may be ahead of what we know of its cause */
const SLACK = 250

/** What did it to a process while this lasted. */
export const duringOf = (faults: readonly Fault[], target: string, from: number, to: number): FaultKind[] =>
  faults
    .filter((fault) => fault.target === target && fault.from <= to && (fault.until ?? to) >= from - SLACK)
    .map(({ kind }) => kind)

/** Whether a process was killed while this lasted. */
export const wasKilled = (faults: readonly Fault[], target: string, from: number, to: number): boolean =>
  faults.some(({ kind, target: other, from: at }) => {
    return other === target && kind.startsWith('kill') && at >= from - SLACK && at <= to
  })

export function explain(job: Job, world: World, faults: readonly Fault[]): Explained {
  const logged = world.log.reset(job.from, job.beganAt, job.endedAt)
  if (logged === null) {
    const kinds = duringOf(faults, job.access, job.beganAt, job.endedAt)
    const what = job.outcome === 'refused' ? `refused (${job.error})` : job.outcome
    if (kinds.includes('kill access')) return { job, reason: `${what}: its access process was killed`, explained: true }
    if (kinds.includes('stop access'))
      return { job, reason: `${what}: its access process was stopped`, explained: true }
    return { job, reason: `${what}: no line in the log of its access process`, explained: false }
  }
  const reason = `${logged.code} (${logged.by})`
  const targets = new Set([job.access, job.printer, world.shareOf.get(job.printer)?.name, 'signaling', 'links'])
  const causes = CAUSES[logged.code] ?? []
  const explained = faults.some(
    ({ kind, target, from, until }) =>
      causes.includes(kind) &&
      targets.has(target) &&
      from <= job.endedAt &&
      (until ?? job.endedAt) > job.endedAt - LATEST,
  )
  return { job, reason, explained }
}
