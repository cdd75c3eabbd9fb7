/** The report of a run, as Markdown and as JSON. */
import { type Goal, ratios, type Verdict, verdicts } from './goals.ts'
import type { Figure, Results } from './results.ts'
import { type Summary, summary } from './stats.ts'

export interface Circumstances {
  readonly when: string
  /** The words of the command line. */
  readonly command: string
  readonly node: string
  readonly machine: string
  readonly rounds: number
  readonly quick: boolean
}

/** Whom a contender is compared to, by name. */
export type ComparedTo = (contender: string) => readonly string[]

export function markdown(results: Results, circumstances: Circumstances, comparedTo: ComparedTo): string {
  const { when, node, machine, rounds, quick, command } = circumstances
  const groups = [...new Set(results.figures.map(({ group }) => group))]
  const tables = groups.map((group) =>
    table(
      group,
      results.figures.filter((figure) => figure.group === group),
      comparedTo,
    ),
  )
  return [
    `\`${command}\`, ${when}. Node ${node}, ${machine}. Medians of ${rounds} rounds${quick ? ' (quick)' : ''}.\n`,
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

function table(group: string, figures: readonly Figure[], comparedTo: ComparedTo): string {
  const rows = figures.map((figure) => {
    const others = figures.filter(
      ({ name, contender }) => name === figure.name && comparedTo(figure.contender).includes(contender),
    )
    const comparisons = others.map((other) => `${number(summary(ratios(figure, other)).median)} of ${other.contender}`)
    const unit = figure.unit === '' ? '' : ` ${figure.unit}`
    const found = summary(figure.samples)
    return [figure.name, figure.contender, `${number(found.median)}${unit}`, spread(found), comparisons.join(', ')]
  })
  const grouped = rows.toSorted((a, b) => order(figures, a) - order(figures, b))
  return `### ${group}\n\n${grid(['measure', 'contender', 'median', 'least to most', 'in the same round'], grouped)}`
}

/** Contenders of one measure stand together, in the order they were added. */
const order = (figures: readonly Figure[], [name]: readonly string[]): number =>
  figures.findIndex((figure) => figure.name === name)

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
