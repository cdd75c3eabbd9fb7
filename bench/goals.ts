/** What nearport wants to reach, and whether a run did. */
import type { Figure } from './results.ts'
import { median } from './stats.ts'

export interface Goal {
  readonly group: string
  readonly measure: string
  readonly contender: string
  /** The figure is divided by that of this contender, round by round. */
  readonly to?: string
  readonly least?: number
  readonly most?: number
}

const ENGINES = ['native', 'werift'] as const
const each = (make: (engine: (typeof ENGINES)[number]) => readonly Goal[]): Goal[] => ENGINES.flatMap(make)

/** What the figures of the signaling server are of, instead of a contender. */
export const SERVER = 'nearport signal'

const bulk = (measure: string, engine: string, least: number): Goal => ({
  group: 'Bulk',
  measure,
  contender: `nearport ${engine}`,
  to: `bare ${engine}`,
  least,
})

export const GOALS: readonly Goal[] = [
  ...each((engine) => [
    ...['up, 1 connection', 'down, 1 connection', 'up, 16 connections', 'down, 16 connections'].map((measure) =>
      bulk(measure, engine, 0.95),
    ),
    ...['up, 200 connections', 'down, 200 connections'].map((measure) => bulk(measure, engine, 0.9)),
  ]),
  ...['up, 1 connection', 'down, 1 connection'].map((measure) => ({
    ...bulk(measure, 'werift', 1.4),
    to: 'naive werift',
  })),
  ...each((engine) => {
    const contender = `nearport ${engine}`
    const seconds = engine === 'native' ? { cold: 150, fifty: 3, many: 1 } : { cold: 300, fifty: 6, many: 3 }
    const warm = 'First byte of a new connection, idle'
    const stalled = 'One connection stalled, fifteen active'
    const many = 'Many shares in one process'
    const short = 'Short connections of 2 KiB'
    const fifty = 'Fifty access processes killed and started at once'
    return [
      { group: warm, measure: 'p50, beyond that', contender, most: 1 },
      { group: warm, measure: 'p99', contender, most: 5 },
      { group: short, measure: '32 at a time', contender, to: 'ssh -L', least: 1 },
      { group: short, measure: '32 at a time', contender, to: 'hypertele', least: 1 },
      { group: stalled, measure: 'pace of the active, of that without', contender, least: 0.95 },
      { group: stalled, measure: 'memory, access side', contender, most: 1 },
      { group: stalled, measure: 'memory, share side', contender, most: 1 },
      { group: 'A cold link', measure: 'first byte, p95', contender, most: seconds.cold },
      { group: fifty, measure: 'until all are usable', contender, most: seconds.fifty },
      { group: many, measure: '99 shares: from process start until all are usable', contender, most: seconds.many },
      { group: many, measure: '99 shares: idle CPU of both', contender, most: 1 },
      { group: many, measure: 'memory a share, access side', contender, most: 100 },
      { group: many, measure: 'memory a share, share side', contender, most: 100 },
    ]
  }),
  ...['up', 'down'].map((direction) => ({
    group: 'A job of 2 KiB on one share, while another is busy',
    measure: `beside bulk ${direction}, slower by (median)`,
    contender: 'nearport native',
    most: 30,
  })),
  { group: 'Signaling', measure: 'memory per idle peer', contender: SERVER, most: 20 },
  { group: 'Signaling', measure: 'exchanges, of one core', contender: SERVER, least: 500 },
  {
    group: 'Networks: MB/s down one connection',
    measure: '50 ms, 0 %, 1000 Mbit/s',
    contender: 'nearport native',
    to: 'plain native',
    least: 1.8,
  },
]

export interface Verdict {
  readonly goal: Goal
  /** median; of the ratios where the goal has a `to` */
  readonly value: number
  readonly isMet: boolean
}

/** Of the goals that the figures tell something of. */
export function verdicts(figures: readonly Figure[], goals: readonly Goal[] = GOALS): Verdict[] {
  return goals.flatMap((goal) => {
    const of = (contender: string) =>
      figures.find(
        (figure) => figure.group === goal.group && figure.name === goal.measure && figure.contender === contender,
      )
    const [own, other] = [of(goal.contender), goal.to === undefined ? undefined : of(goal.to)]
    if (own === undefined || (goal.to !== undefined && other === undefined)) return []
    const value = median(other === undefined ? own.samples : ratios(own, other))
    const isMet = value >= (goal.least ?? Number.NEGATIVE_INFINITY) && value <= (goal.most ?? Number.POSITIVE_INFINITY)
    return [{ goal, value, isMet }]
  })
}

/** Round by round. */
export const ratios = (own: Figure, other: Figure): number[] =>
  own.samples.flatMap((sample, round) => {
    const against = other.samples[round]
    return against === undefined ? [] : [sample / against]
  })
