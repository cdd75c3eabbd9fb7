/** The command line of the bench. */
import { Command, InvalidArgumentError } from 'commander'
import { wholeNumber } from '../peer/commands/options.ts'

export interface Options {
  readonly quick: boolean
  /** ids */
  readonly cases: readonly string[]
  /** names */
  readonly contenders: readonly string[]
  readonly rounds: number
  readonly json: string | null
  /** null: standard output */
  readonly markdown: string | null
}

interface Known {
  readonly cases: readonly { readonly id: string; readonly title: string }[]
  readonly contenders: readonly { readonly name: string }[]
}

const ROUNDS = { full: 5, quick: 2 }

/** Throws CommanderError for what it does not take. */
export function parseOptions(words: readonly string[], { cases, contenders }: Known): Options {
  const ids = cases.map(({ id }) => id)
  const names = contenders.map(({ name }) => name)
  const listed = ({ id, title }: { id: string; title: string }) => `  ${id.padEnd(11)} ${title}`
  const command = new Command('npm run bench --')
    .description('nearport against what one would use instead; see docs/benchmarks.md')
    .option('--quick', 'a few minutes: less of everything')
    .option('--case <ids>', 'only these, with commas between', oneOf(ids), ids)
    .option('--contender <names>', 'only these, with commas between', oneOf(names), names)
    .option('--rounds <n>', `default: ${ROUNDS.full}, or ${ROUNDS.quick} with --quick`, wholeNumber(1, 1000))
    .option('--json <file>', 'write all samples there')
    .option('--markdown <file>', 'write the report there (default: standard output)')
    .addHelpText('after', `\nCases:\n${cases.map(listed).join('\n')}\n\nContenders: ${names.join(', ')}`)
    .exitOverride()
    .parse(words, { from: 'user' })
  const flags = command.opts<{
    quick?: true
    case: string[]
    contender: string[]
    rounds?: number
    json?: string
    markdown?: string
  }>()
  const quick = flags.quick ?? false
  return {
    quick,
    cases: flags.case,
    contenders: flags.contender,
    rounds: flags.rounds ?? (quick ? ROUNDS.quick : ROUNDS.full),
    json: flags.json ?? null,
    markdown: flags.markdown ?? null,
  }
}

/** Words of a list with commas, each of which must be known. */
const oneOf =
  (known: readonly string[]) =>
  (text: string): string[] => {
    const words = text.split(',').map((word) => word.trim())
    const wrong = words.filter((word) => !known.includes(word))
    if (wrong.length > 0) throw new InvalidArgumentError(`"${wrong.join(', ')}" is none of: ${known.join(', ')}.`)
    return known.filter((word) => words.includes(word))
  }
