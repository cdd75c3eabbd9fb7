/** enable, disable, overview: this environment and its network. */
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import { NearportError } from '../../shared/errors.ts'
import { identityFingerprint } from '../../shared/fingerprint.ts'
import { parseInvite } from '../../shared/invite.ts'
import { type OpenedHealth, openHealth } from '../../shared/sealed-health.ts'
import { Config } from '../config.ts'
import { OwnerFiles } from '../owner-files.ts'
import { withSignaling } from '../runtime.ts'
import type { CommandContext } from './options.ts'

export function registerEnvironmentCommands(program: Command, context: CommandContext): void {
  program
    .command('enable')
    .description('join a network with the link that `nearport signal` printed')
    .argument('[link]', 'URL#KEY; without it the link is read from standard input, unseen by ps and the shell history')
    .action((link?: string) => enable(link, context))

  program
    .command('disable')
    .description('leave the network: forget the link and the targets (reservations stay on the server)')
    .action(disable)

  program
    .command('overview')
    .description('list the shares of the network')
    .option('--json', 'for programs')
    .action((options: { json?: true }) => overview(options, context))
}

async function enable(argument: string | undefined, { log }: CommandContext): Promise<void> {
  // The whole line that `nearport signal` printed is a likely thing to paste.
  const link = (argument ?? (await readLink())).trim().replace(/^nearport enable /, '')
  const invite = parseInvite(link)
  // Asked before anything is stored: a wrong key must not leave an environment behind that looks enabled.
  const trial = new Config(undefined, { ...process.env, NEARPORT_LINK: link })
  await withSignaling(trial, log({ quiet: true }), async () => undefined)
  await new Config().enable(invite)
  process.stdout.write(`enabled for ${invite.url}\n`)
}

async function readLink(): Promise<string> {
  if (!process.stdin.isTTY) return text(process.stdin)
  // Only here: it takes a while to load, and every command loads this file.
  const { default: password } = await import('@inquirer/password')
  return password({ message: 'Link (URL#KEY), not shown:' }, { output: process.stderr })
}

async function disable(): Promise<void> {
  const config = new Config()
  if (!(await config.disable())) throw new NearportError('not-enabled', `${config.folder} is not enabled`)
  process.stdout.write('disabled\n')
}

async function overview({ json }: { json?: true }, { log }: CommandContext): Promise<void> {
  const config = new Config()
  const [own, targets] = [(await config.identity()).publicKey, await config.shares()]
  const { networkKey } = await config.invite()
  const owners = await OwnerFiles.of(config.folder, networkKey)
  const listed = await withSignaling(config, log({ quiet: true }), (signaling) => signaling.list())
  const shares = await Promise.all(
    listed.map(async ({ name, online, reserved, mode, owner, peer, health }) => ({
      name,
      online,
      reserved,
      mode,
      own: owner === own,
      owner: identityFingerprint(owner),
      trust: await trustIn(name, owner, owners),
      target: owner === own ? (targets.get(name)?.target ?? null) : null,
      health:
        peer === null || health === null ? null : await openHealth(networkKey, name, { peer, identity: owner }, health),
    })),
  )
  if (json) {
    process.stdout.write(`${JSON.stringify({ shares: shares.map(jsonOf) })}\n`)
  } else if (shares.length === 0) {
    process.stdout.write('no shares\n')
  } else {
    process.stdout.write(table([['NAME', 'STATE', 'HEALTH', 'KIND', 'OWNER', 'TARGET'], ...shares.map(row)]))
  }
}

/** What is known of the owner of a name here: nothing before first use. */
type Trust = 'new' | 'known' | 'changed' | 'unreadable'

async function trustIn(name: string, owner: string, owners: OwnerFiles): Promise<Trust> {
  try {
    const known = await owners.get(name)
    return known === null ? 'new' : known === owner ? 'known' : 'changed'
  } catch (error) {
    if (error instanceof NearportError && error.code === 'config-invalid') return 'unreadable'
    throw error
  }
}

interface Row {
  readonly name: string
  readonly online: boolean
  readonly reserved: boolean
  readonly own: boolean
  /** its fingerprint */
  readonly owner: string
  readonly trust: Trust
  readonly target: string | null
  readonly health: OpenedHealth | null
}

const row = ({ name, online, reserved, own, owner, trust, target, health }: Row): string[] => [
  name,
  online ? 'online' : 'offline',
  online ? healthWords(health) : '-',
  reserved ? 'reserved' : 'ephemeral',
  `${owner}${own ? ' (this environment)' : ''}${TRUST_WORDS[trust]}`,
  target ?? '-',
]

const TRUST_WORDS: Readonly<Record<Trust, string>> = {
  new: '',
  known: '',
  changed: ' (changed: refused)',
  unreadable: ' (refused: its file is spoiled)',
}

/** For people: what is not known, or not of now, is a question mark. */
export function healthWords(health: OpenedHealth | null): string {
  if (health === null) return '?'
  switch (health.state) {
    case 'unreadable':
      return '? (not readable)'
    case 'stale':
      return health.age > 0 ? `? (${minutes(health.age)} old)` : `? (its clock is ${minutes(-health.age)} ahead)`
    case 'down':
      return `down (${health.code})`
    default:
      return health.state
  }
}

const minutes = (ms: number): string => `${Math.round(ms / 60_000)} min`

/** For programs: each field is always there, times as ISO 8601 and seconds. */
function jsonOf({ health, ...share }: Row): object {
  if (health === null) return { ...share, health }
  const { state } = health
  const [code, since] = 'since' in health ? [health.code, new Date(health.since).toISOString()] : [null, null]
  const ageSeconds = 'age' in health ? Math.round(health.age / 1000) : null
  return { ...share, health: { state, code, since, ageSeconds } }
}

function table(rows: readonly string[][]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0))) ?? []
  const line = (cells: string[]) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
  return `${rows.map((cells) => line(cells).trimEnd()).join('\n')}\n`
}
