/** Reads the commands of a document as a shell would, and holds them to the help of the real program. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../../dist/bin/nearport.js', import.meta.url))

/** Words that may stand before a command without being a part of it. */
const PREFIXES = new Set(['npx', 'nohup', 'exec', 'sudo', 'do', 'then', 'while', 'until', 'if', '!'])

/** The text of the ```sh blocks of a Markdown document. */
export const shellBlocks = (markdown: string): string[] =>
  [...markdown.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '')

/** The words of each simple command in `script` that runs `program`, without the program itself. */
export function commandsOf(script: string, program: string): string[][] {
  const found: string[][] = []
  for (const line of script.replaceAll('\\\n', ' ').split('\n')) {
    for (const words of simpleCommands(line)) {
      const first = words.findIndex((word) => !PREFIXES.has(word) && !/^[A-Z_]+=/.test(word))
      if (words[first] === program) found.push(words.slice(first + 1))
    }
  }
  return found
}

const TOKEN =
  /(?<space>\s+)|(?<comment>#.*$)|(?<operator>[|&;()]+|\d?[<>]+)|(?<word>(?:"[^"]*"|'[^']*'|[^\s|&;()<>])+)/y

/** Splits a line at its operators. What follows a redirection is a file, and no word of the command. */
function simpleCommands(line: string): string[][] {
  const commands: string[][] = [[]]
  let isFile = false
  TOKEN.lastIndex = 0
  for (let match = TOKEN.exec(line); match !== null; match = TOKEN.exec(line)) {
    const { operator, word } = match.groups ?? {}
    if (operator !== undefined && !/[<>]/.test(operator)) commands.push([])
    if (word !== undefined && !isFile) commands.at(-1)?.push(word.replaceAll(/["']/g, ''))
    if (operator !== undefined || word !== undefined) isFile = operator !== undefined && /[<>]/.test(operator)
  }
  if (TOKEN.lastIndex !== 0) throw new Error(`not read to its end: ${line}`)
  return commands
}

interface Flag {
  readonly takesValue: boolean
  /** The values it takes; null for any. */
  readonly choices: readonly string[] | null
}

interface Help {
  readonly subcommands: ReadonlySet<string>
  readonly flags: ReadonlyMap<string, Flag>
  readonly least: number
  readonly most: number
}

const known = new Map<string, Help>()

/** What `nearport … --help` says about a command. */
function helpOf(path: readonly string[]): Help {
  const key = path.join(' ')
  const help =
    known.get(key) ?? readHelp(execFileSync(process.execPath, [CLI, ...path, '--help'], { encoding: 'utf8' }))
  known.set(key, help)
  return help
}

function readHelp(text: string): Help {
  const flags = new Map<string, Flag>()
  const section = (title: string) => new RegExp(`^${title}:\\n((?: .*\\n|\\n(?= ))*)`, 'm').exec(text)?.[1] ?? ''
  for (const entry of section('Options').split(/\n(?= {2}-)/)) {
    const [, short, long, value] = /^\s*(?:(-\w), )?(--[\w-]+)(?: (<[^>]+>|\[[^\]]+\]))?/.exec(entry) ?? []
    const choices = /\(choices: ([^)]*)\)/.exec(entry.replaceAll(/\s+/g, ' '))?.[1]
    const listed = choices === undefined ? null : [...choices.matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? '')
    const flag = { takesValue: value !== undefined, choices: choices === undefined ? null : listed }
    for (const name of [short, long]) if (name !== undefined) flags.set(name, flag)
  }
  const subcommands = new Set([...section('Commands').matchAll(/^ {2}(\w+)/gm)].map((match) => match[1] ?? ''))
  const [usage = ''] = text.split('\n', 1)
  const required = [...usage.matchAll(/<[^>]+>/g)].length
  const optional = [...usage.replace('[options]', '').matchAll(/\[[^\]]+\]/g)].length
  const most = usage.includes('...') ? Number.POSITIVE_INFINITY : required + optional
  return { subcommands, flags, least: required, most }
}

/** Why the program would not take these words; null if it would. */
export function complaintAbout(words: readonly string[]): string | null {
  const path: string[] = []
  const left = [...words]
  let help = helpOf(path)
  const before = takeFlags(left, help.flags)
  if (before !== null) return before
  while (help.subcommands.has(left[0] ?? '')) {
    path.push(left.shift() ?? '')
    help = helpOf(path)
  }
  if (help.subcommands.size > 0) return `no command: ${words.join(' ')}`
  const complaint = takeFlags(left, help.flags, { among: true })
  if (complaint !== null) return complaint
  const isEnough = left.length >= help.least && left.length <= help.most
  return isEnough ? null : `${left.length} arguments for "${path.join(' ')}"`
}

/** Removes options from `words`, at their beginning or `among` all of them. Returns what is wrong with one, or null. */
function takeFlags(words: string[], flags: ReadonlyMap<string, Flag>, { among = false } = {}): string | null {
  for (let at = 0; at < words.length; ) {
    const [name = '', joined] = (words[at] ?? '').split(/=(.*)/s)
    if (!name.startsWith('-')) {
      if (!among) return null
      at++
      continue
    }
    const flag = flags.get(name)
    if (flag === undefined) return `no option ${name}`
    const value = joined ?? (flag.takesValue ? words[at + 1] : undefined)
    if (flag.takesValue !== (value !== undefined)) return `${name} ${flag.takesValue ? 'needs' : 'takes no'} value`
    if (flag.choices !== null && !flag.choices.includes(value ?? '')) return `${name} does not take ${value}`
    words.splice(at, joined === undefined && flag.takesValue ? 2 : 1)
  }
  return null
}
