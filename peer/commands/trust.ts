/** trust: accepts another owner of names. What is written is the identity that the user has seen. */
import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import { NearportError } from '../../shared/errors.ts'
import { identityFingerprint, parseFingerprint } from '../../shared/fingerprint.ts'
import { parseName } from '../../shared/names.ts'
import { Config } from '../config.ts'
import { OwnerFiles } from '../owner-files.ts'
import { withSignaling } from '../runtime.ts'
import type { CommandContext } from './options.ts'

export function registerTrustCommand(program: Command, context: CommandContext): void {
  program
    .command('trust')
    .description('accept the new owner of names, after a share host was replaced')
    .argument('[names...]', 'NAME asks on the terminal; NAME=FINGERPRINT does not')
    .option('--all-of <fingerprint>', 'accept this owner for all names that it has taken over from one other')
    .action((texts: string[], { allOf }: { allOf?: string }) => trust(texts, allOf, context))
}

/** An owner that takes the place of another, or of none. */
interface Change {
  readonly name: string
  /** null: none is known; a sentence where it cannot be read */
  readonly known: string | null
  readonly owner: string
}

async function trust(texts: readonly string[], allOf: string | undefined, { log }: CommandContext): Promise<void> {
  if ((texts.length === 0) === (allOf === undefined)) {
    throw new NearportError('usage', 'trust takes names, or --all-of with the fingerprint of an owner')
  }
  const asked = texts.map(parseAsked)
  const config = new Config()
  const owners = await OwnerFiles.of(config.folder, (await config.invite()).networkKey)
  const listed = await withSignaling(config, log({ quiet: true }), (signaling) => signaling.list())
  const now = new Map(listed.map(({ name, owner }) => [name, owner]))
  const changes =
    allOf === undefined ? await changesOf(asked, now, owners) : await changesBy(parseFingerprint(allOf), now, owners)
  const unseen = asked.filter(({ fingerprint }) => fingerprint === null).map(({ name }) => name)
  if (!(await isAgreed(changes.filter(({ name }) => unseen.includes(name))))) {
    process.stdout.write('nothing was changed\n')
    return
  }
  for (const { name, owner } of changes) {
    await owners.replace(name, owner)
    process.stdout.write(`${name} belongs to ${identityFingerprint(owner)} from now on\n`)
  }
  if (changes.length === 0) process.stdout.write('nothing to accept: every owner is the one that is known\n')
}

interface Asked {
  readonly name: string
  /** null: the user is asked */
  readonly fingerprint: string | null
}

function parseAsked(text: string): Asked {
  const [name = '', ...rest] = text.split('=')
  return { name: parseName(name), fingerprint: rest.length === 0 ? null : parseFingerprint(rest.join('=')) }
}

/** Throws `name-unknown`, and `owner-unknown` where the owner is not the one that was seen. */
async function changesOf(asked: readonly Asked[], now: Owners, owners: OwnerFiles): Promise<Change[]> {
  const changes = new Map<string, Change>()
  for (const { name, fingerprint } of asked) {
    const owner = now.get(name)
    if (owner === undefined)
      throw new NearportError('name-unknown', `"${name}" is not reserved, and nobody shares it now`)
    const found = identityFingerprint(owner)
    if (fingerprint !== null && found !== fingerprint) {
      throw new NearportError('owner-unknown', `"${name}" belongs to ${found} now, and not to ${fingerprint}`)
    }
    const known = await knownOf(name, owners)
    if (known !== owner) changes.set(name, { name, known, owner })
  }
  return [...changes.values()]
}

/** The names that were another's; what was never used needs no trust. Throws `owner-unknown`. */
async function changesBy(fingerprint: string, now: Owners, owners: OwnerFiles): Promise<Change[]> {
  const all = [...now].filter(([, owner]) => identityFingerprint(owner) === fingerprint)
  const identities = new Set(all.map(([, owner]) => owner)).size
  if (identities === 0) throw new NearportError('owner-unknown', `no name of the network belongs to ${fingerprint}`)
  if (identities > 1) {
    throw new NearportError('owner-unknown', `${identities} different owners have the fingerprint ${fingerprint}`, {
      next: 'trust neither: somebody made them alike on purpose',
    })
  }
  const changes: Change[] = []
  for (const [name, owner] of all) {
    const known = await owners.get(name)
    if (known !== null && known !== owner) changes.push({ name, known, owner })
  }
  const before = new Set(changes.map(({ known }) => known))
  if (before.size > 1) {
    const names = changes.map(({ name, known }) => `${name} (${shown(known)})`).join(', ')
    throw new NearportError('owner-unknown', `${fingerprint} would take over from more than one owner: ${names}`, {
      next: `accept them by name: nearport trust ${changes.map(({ name }) => `${name}=${fingerprint}`).join(' ')}`,
    })
  }
  return changes
}

type Owners = ReadonlyMap<string, string>

/** A file that is spoiled can be replaced by name, as the user sees whom he accepts. */
async function knownOf(name: string, owners: OwnerFiles): Promise<string | null> {
  try {
    return await owners.get(name)
  } catch (error) {
    if (error instanceof NearportError && error.code === 'config-invalid') return UNREADABLE
    throw error
  }
}

const UNREADABLE = 'unreadable'

const shown = (known: string | null): string =>
  known === null ? 'not used before' : known === UNREADABLE ? 'not readable' : identityFingerprint(known)

/** Shows the changes and asks. Throws `usage` without a terminal: nobody would see whom he accepts. */
async function isAgreed(changes: readonly Change[]): Promise<boolean> {
  if (changes.length === 0) return true
  const lines = changes.map(({ name, known, owner }) => `${name}: ${shown(known)} → ${identityFingerprint(owner)}`)
  if (!process.stdin.isTTY) {
    const words = changes.map(({ name, owner }) => `${name}=${identityFingerprint(owner)}`).join(' ')
    throw new NearportError('usage', `nobody is there to be asked about ${lines.join(', ')}`, {
      next: `compare the new fingerprint with \`nearport identity show\` on the share host, then run \`nearport trust ${words}\``,
    })
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    process.stderr.write(
      `${lines.join('\n')}\nThe right one is what \`nearport identity show\` prints on the share host.\n`,
    )
    return /^y(es)?$/i.test((await terminal.question('Accept? [y/N] ')).trim())
  } finally {
    terminal.close()
  }
}
