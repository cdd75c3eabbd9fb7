/** The report of a run, as Markdown and as JSON. */
import { type Goal, ratios, type Verdict, verdicts } from './goals.ts'
import type { Figure, Results } from './results.ts'
import { median, type Summary, summary } from './stats.ts'

export interface Circumstances {
  readonly when: string
  /** The words of the command line. */
  readonly command: string
  readonly node: string
  readonly machine: string
  readonly rounds: number
  readonly quick: boolean
  /** Processes that wanted a processor in the minute before: of what the bench itself starts there are none yet. */
  readonly load: number
}

export interface Named {
  readonly name: string
  readonly comparedTo: readonly string[]
}

export function markdown(results: Results, circumstances: Circumstances, contenders: readonly Named[]): string {
  const { when, node, machine, rounds, quick, command, load } = circumstances
  const groups = [...new Set(results.figures.map(({ group }) => group))]
  const tables = groups.map((group) =>
    table(
      group,
      results.figures.filter((figure) => figure.group === group),
      contenders,
    ),
  )
  return [
    `\`${command}\`, ${when}. Node ${node}, ${machine}; before it ${load.toFixed(1)} processes wanted to run. Medians of ${rounds} rounds${quick ? ' (quick)' : ''}.\n`,
    ...tables,
    goalsTable(verdicts(results.figures)),
    list(
      'Not measured',
      results.absences.map(({ what, why }) => `${what}: ${why}`),
    ),
    list('Notes', results.notes),
  ]
    .filter(Boolean)
    .join('\n')
}

export const json = (results: Results, circumstances: Circumstances): string =>
  `${JSON.stringify(
    {
      ...circumstances,
      figures: results.figures.map((figure) => ({ ...figure, summary: summary(figure.samples) })),
      goals: verdicts(results.figures),
      missing: results.absences,
      notes: results.notes,
    },
    null,
    2,
  )}\n`

function table(group: string, figures: readonly Figure[], contenders: readonly Named[]): string {
  const measures = [...new Set(figures.map(({ name }) => name))]
  const place = ({ contender }: Figure) => contenders.findIndex(({ name }) => name === contender)
  const rows = measures.flatMap((measure) => {
    const rivals = figures.filter(({ name }) => name === measure).sort((a, b) => place(a) - place(b))
    return rivals.map((figure) => row(figure, rivals, contenders))
  })
  return `### ${group}\n\n${grid(['measure', 'contender', 'median', 'least to most', 'in the same round'], rows)}`
}

function row(figure: Figure, rivals: readonly Figure[], contenders: readonly Named[]): string[] {
  const { name, contender, unit, samples, isDifference } = figure
  const comparedTo = contenders.find(({ name }) => name === contender)?.comparedTo ?? []
  const others = isDifference ? [] : rivals.filter((rival) => comparedTo.includes(rival.contender))
  const comparisons = others.map((other) => `${number(median(ratios(figure, other)))} of ${other.contender}`)
  const found = summary(samples)
  return [name, contender, `${number(found.median)} ${unit}`.trim(), spread(found), comparisons.join(', ')]
}

function goalsTable(found: readonly Verdict[]): string {
  if (found.length === 0) return ''
  const rows = found.map(({ goal, value, isMet }) => [
    goal.group,
    goal.measure,
    goal.to === undefined ? goal.contender : `${goal.contender}, of ${goal.to}`,
    bound(goal),
    number(value),
    isMet ? 'yes' : '**no**',
  ])
  return `### Goals\n\n${grid(['group', 'measure', 'of', 'goal', 'found', 'met'], rows)}`
}

const bound = ({ least, most }: Goal): string => (least === undefined ? `at most ${most}` : `at least ${least}`)

const spread = ({ least, most, count }: Summary): string => (count === 1 ? '' : `${number(least)} to ${number(most)}`)

/** Three digits that count. */
export function number(value: number): string {
  if (value === 0) return '0'
  const digits = 2 - Math.floor(Math.log10(Math.abs(value)))
  return value.toFixed(Math.min(Math.max(digits, 0), 3))
}

const list = (title: string, lines: readonly string[]): string =>
  lines.length === 0 ? '' : `### ${title}\n\n${lines.map((line) => `- ${line}\n`).join('')}`

const grid = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
