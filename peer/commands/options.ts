/** Parsers and options that several commands use. */
import { InvalidArgumentError, Option } from 'commander'
import { LIMITS } from '../../shared/limits.ts'
import type { Log } from '../../shared/log.ts'
import { parseName } from '../../shared/names.ts'

/** What every command gets from the program: the log is made once the global options are known. */
export interface CommandContext {
  readonly log: (options?: { readonly quiet?: boolean }) => Log
}

export const ENGINE_CHOICES = ['auto', 'werift', 'native'] as const

export const engineOption = () =>
  new Option('--engine <engine>', 'WebRTC engine: native is faster, werift runs everywhere')
    .choices(ENGINE_CHOICES)
    .default('auto')
    .env('NEARPORT_ENGINE')

export const backendModeOption = () =>
  new Option('-b, --backend-mode <mode>', 'what the target is; nearport carries TCP')
    .choices(['tcpTunnel'])
    .default('tcpTunnel')

/** Accepted because zrok has it: nearport never draws on the terminal. */
export const headlessOption = () => new Option('--headless', 'accepted for zrok scripts').hideHelp()

export const connectionsOption = () =>
  new Option('--connections <n>', 'WebRTC connections to each share process, among which the names are spread')
    .argParser(wholeNumber(1, LIMITS.connectionsMost))
    .default(1)

export const maxConnectionsOption = () =>
  new Option('--max-connections <n>', 'TCP connections to the target at once; further ones wait in order').argParser(
    wholeNumber(1, 65_535),
  )

/** In seconds; the rest of the program counts in ms. */
export const idleTimeoutOption = () =>
  new Option(
    '--idle-timeout <seconds>',
    'how long a connection may be idle while others wait under --max-connections; without it, for ever',
  ).argParser(wholeNumber(1, LIMITS.idleTimeoutMost / 1000))

/** In seconds, 0 for off; the rest of the program counts in ms. */
export const healthIntervalOption = () =>
  new Option(
    '--health-interval <seconds>',
    `how often to see whether an idle target accepts connections; "off": never (default: ${LIMITS.healthInterval / 1000})`,
  ).argParser((text) => (text === 'off' ? 0 : wholeNumber(0, LIMITS.healthIntervalMost / 1000)(text)))

/** In seconds; the rest of the program counts in ms. */
export const graceOption = () =>
  new Option('--grace <seconds>', 'how long connections wait for a path that was lost; 0: not at all')
    .argParser(wholeNumber(0, LIMITS.graceMost / 1000))
    .default(LIMITS.grace / 1000)

export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const number = Number(text)
    if (/^\d{1,15}$/.test(text) && number >= least && number <= most) return number
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
  }
}

/** Names in the order given, each checked and once. Throws `name-malformed`. */
export const parseNames = (texts: readonly string[]): string[] => [...new Set(texts.map(parseName))]
