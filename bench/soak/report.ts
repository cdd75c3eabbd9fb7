/** The results of a soak, as Markdown. */
import { cpus, totalmem } from 'node:os'
import { FAULT_KINDS } from './faults.ts'
import { CHECKS, type Results, type SoakOptions } from './run.ts'
import { BOUNDS, MIB } from './samples.ts'
import { JOB_BYTES, type Outcome } from './till.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
/** Of the same kind of failure, so many are written out. */
const SHOWN = 20

export const hasPassed = ({ failures }: Results): boolean => CHECKS.every((check) => failures[check].length === 0)

export function reportOf(results: Results, options: SoakOptions, noCuts: string | null): string {
  return [
    heading(results, options, noCuts),
    verdict(results),
    totals(results),
    faults(results),
    lost(results),
    growth(results),
    minutes(results),
    warnings(results),
  ].join('\n\n')
}

function heading({ began, ended, engines }: Results, { minutes, seed }: SoakOptions, noCuts: string | null): string {
  const who = [...engines].map(([name, engine]) => (engine === null ? name : `${name} (${engine})`)).join(', ')
  const [cpu] = cpus()
  return [
    '# Soak',
    '',
    `${minutes} minutes under faults with the seed ${seed}, ${new Date(began).toISOString()}, and ` +
      `${((ended - began - minutes * MINUTE) / SECOND).toFixed(0)} s until all was quiet and every way printed again.`,
    `Node ${process.version}, ${cpus().length} × ${cpu?.model ?? 'an unknown processor'}, ` +
      `${(totalmem() / 1024 / MIB).toFixed(0)} GiB. Processes: ${who}.`,
    noCuts === null ? 'Links were cut with nftables.' : `Links were not cut: ${noCuts}.`,
  ].join('\n')
}

function verdict(results: Results): string {
  const lines = CHECKS.flatMap((check) => {
    const found = results.failures[check]
    const more = found.length > SHOWN ? [`  - … and ${found.length - SHOWN} more`] : []
    return [`- ${check}: ${found.length}`, ...found.slice(0, SHOWN).map((text) => `  - ${text}`), ...more]
  })
  return [`## Verdict: ${hasPassed(results) ? 'passed' : 'FAILED'}`, '', ...lines].join('\n')
}

const megabytes = (bytes: number) => (bytes / MIB).toFixed(1)

function totals({ jobs, faults, quiet, repeatedStarts }: Results): string {
  const of = (...outcomes: Outcome[]) => jobs.filter(({ outcome }) => outcomes.includes(outcome))
  const bytes = (list: typeof jobs) => megabytes(list.reduce((sum, { size }) => sum + size, 0))
  const rows: [string, readonly { size: number }[]][] = [
    ['printed, byte for byte, with the right answer', of('printed')],
    ['reset, or cut off by the kill of a process', of('reset', 'ended')],
    ['refused: the access process was down', of('refused')],
    ['given up by the till itself', of('gave-up')],
    ['neither: hung', of('open')],
  ]
  const [least, most] = [JOB_BYTES.least / 1024, JOB_BYTES.most / MIB]
  return [
    '## Jobs',
    '',
    table(
      ['jobs', 'number', 'MiB'],
      [
        ...rows.map(([what, list]) => [what, String(list.length), bytes(list as typeof jobs)]),
        ['all', String(jobs.length), bytes(jobs)],
      ],
    ),
    '',
    `Jobs have ${least} KiB to ${most} MiB. There were ${faults.length} faults. In the quiet phase every access reached ` +
      `every printer again after ${quiet.seconds.toFixed(1)} s (${quiet.attempts} jobs), then ${quiet.printed} jobs were ` +
      `printed at once. ${repeatedStarts} starts were repeated, since a process that starts ends with the status 1 while ` +
      'the server is down.',
  ].join('\n')
}

function faults({ faults }: Results): string {
  const rows = FAULT_KINDS.map((kind) => {
    const own = faults.filter((fault) => fault.kind === kind)
    const seconds = own.reduce((sum, { from, until }) => sum + (until ?? from) - from, 0) / SECOND
    return [kind, String(own.length), own.length === 0 ? '' : (seconds / own.length).toFixed(1)]
  })
  return ['## Faults', '', table(['fault', 'times', 'seconds, on average'], rows)].join('\n')
}

function lost({ lost, lingering, empty }: Results): string {
  const counts = new Map<string, { jobs: number; unexplained: number; seconds: number[] }>()
  for (const { reason, explained, job } of lost) {
    const count = counts.get(reason) ?? { jobs: 0, unexplained: 0, seconds: [] }
    count.jobs++
    if (!explained) count.unexplained++
    count.seconds.push((job.endedAt - job.beganAt) / SECOND)
    counts.set(reason, count)
  }
  const rows = [...counts]
    .sort(([, a], [, b]) => b.jobs - a.jobs)
    .map(([reason, { jobs, unexplained, seconds }]) => [
      reason,
      String(jobs),
      String(unexplained),
      Math.max(...seconds).toFixed(1),
    ])
  return [
    '## Why jobs were lost',
    '',
    'By the log of the access process; in brackets the side that reset the connection first.',
    '',
    table(['reason', 'jobs', 'not explained by a fault', 'longest, in seconds'], rows),
    '',
    'A process that was restarted has a new session. From when it served again until what its former self had begun was',
    `reset: at the tills, after the restart of a share, ${spread(lingering.atTills)}; at the printers, after that of an`,
    `access, ${spread(lingering.atPrinters)}. (Below zero: before it served again.)`,
    `Printers got ${empty} connections that ended in order without a byte.`,
  ].join('\n')
}

function spread(times: readonly number[]): string {
  if (times.length === 0) return 'none'
  const sorted = [...times].sort((a, b) => a - b)
  const seconds = (index: number) => ((sorted[index] ?? 0) / SECOND).toFixed(1)
  return `${times.length}, median ${seconds(Math.floor(times.length / 2))} s, longest ${seconds(times.length - 1)} s`
}

function growth({ growths, engines }: Results): string {
  const rows = growths.map(({ instance, lived, first, last, peak, slope, grows }) => [
    `${instance.service} #${instance.number}`,
    engines.get(instance.service) ?? '',
    (lived / MINUTE).toFixed(1),
    `${megabytes(first.rss)} → ${megabytes(last.rss)}`,
    megabytes(peak),
    (slope / 1024).toFixed(0),
    `${first.handles} → ${last.handles}`,
    grows ? 'GROWS' : 'no',
  ])
  return [
    '## Memory and handles',
    '',
    'Each start of a process that lived two minutes or more, compared with itself: the most it had in its first minute →',
    `the median of its last one. It grows if that is more than ${BOUNDS.memory / MIB} MiB or ${BOUNDS.handles} handles more.`,
    '',
    table(
      ['process', 'engine', 'minutes', 'memory, MiB', 'peak, MiB', 'KiB a minute after the first', 'handles', 'grows'],
      rows,
    ),
  ].join('\n')
}

function minutes({ began, ended, jobs, faults, samples }: Results): string {
  const rows: string[][] = []
  for (let from = began; from < ended; from += MINUTE) {
    const within = (at: number) => at >= from && at < from + MINUTE
    const done = jobs.filter(({ endedAt }) => within(endedAt))
    const number = (...outcomes: Outcome[]) => String(done.filter(({ outcome }) => outcomes.includes(outcome)).length)
    const bytes = done.filter(({ outcome }) => outcome === 'printed').reduce((sum, { size }) => sum + size, 0)
    const most = (role: string, of: (one: (typeof samples)[number]) => number) =>
      Math.max(0, ...samples.filter(({ at, instance }) => within(at) && instance.service.startsWith(role)).map(of))
    const memory = ['signaling', 'share', 'access'].map((role) => megabytes(most(role, ({ rss }) => rss)))
    const handles = ['signaling', 'share', 'access'].map((role) => String(most(role, (one) => one.handles)))
    const broken = faults.filter((fault) => within(fault.from)).length
    rows.push([
      String((from - began) / MINUTE + 1),
      ...[number('printed'), megabytes(bytes), number('reset', 'ended'), number('refused'), String(broken)],
      memory.join(' / '),
      handles.join(' / '),
    ])
  }
  const columns = ['minute', 'printed', 'MiB', 'reset', 'refused', 'faults']
  return [
    '## By minute',
    '',
    'Memory (MiB) and handles: the most that a signaling / share / access process had.',
    '',
    table([...columns, 'memory', 'handles'], rows),
  ].join('\n')
}

function warnings({ warnings }: Results): string {
  const rows = [...warnings].sort(([, a], [, b]) => b - a).map(([line, times]) => [line, String(times)])
  return ['## Warnings and errors in the logs', '', table(['line', 'times'], rows), ''].join('\n')
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  return [columns, columns.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
