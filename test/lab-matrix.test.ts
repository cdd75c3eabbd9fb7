/**
 * Who reaches whom: a share behind each kind of NAT and an access behind each, on both engines, all at the same time.
 * A job must arrive byte-exact, or fail in time where two NATs cannot be crossed; doctor on
 * each host names what stands before it, and what it says of each two is what becomes of the job.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { parseNat } from '../shared/nat.ts'
import { verdict } from '../shared/verdict.ts'
import { type Host, Lab } from './lab/lab.ts'
import { KINDS, type Kind, TOKENS } from './lab/nat-words.ts'
import { brief, expectOutcome, type Outcome, print } from './lab/outcome.ts'
import { Tunnels } from './lab/programs.ts'
import { describeLab } from './lab/system.ts'
import { ENGINES, type EngineName } from './support/tunnel.ts'

/**
 * Row: the side of the share; columns: that of the access, in the order of KINDS. A path needs one side that everybody
 * can answer to at the port it is told (none, open), or two that keep their ports: an endpoint-dependent NAT sends to a
 * new peer from a port that nobody was told, so whoever lets in only what it asked for does not let that in.
 */
const EXPECTED: Readonly<Record<Kind, readonly boolean[]>> = {
  none: [true, true, true, true, true],
  open: [true, true, true, true, true],
  'port-restricted': [true, true, true, false, true],
  'endpoint-dependent': [true, true, false, false, false],
  double: [true, true, true, false, true],
}

/** What was seen, by {@link cell}. */
type Outcomes = ReadonlyMap<string, Outcome>
const cell = (share: string, access: string): string => `${share} × ${access}`

/** A share on each of some hosts, and what becomes of a job to each of them from each of some others. */
async function matrix(
  tunnels: Tunnels,
  engine: EngineName,
  shares: ReadonlyMap<string, Host>,
  accesses: ReadonlyMap<string, Host>,
): Promise<Outcomes> {
  const nameOf = (share: string) => `${engine}-${share}`
  await Promise.all([...shares].map(([share, host]) => tunnels.share(host, engine, nameOf(share))))
  const names = [...shares.keys()].map(nameOf)
  const outcomes = new Map<string, Outcome>()
  await Promise.all(
    [...accesses].map(async ([from, host]) => {
      const access = await tunnels.access(host, engine, names)
      await Promise.all(
        [...shares.keys()].map(async (share) => {
          outcomes.set(cell(share, from), await print(tunnels, host, access, nameOf(share)))
        }),
      )
    }),
  )
  return outcomes
}

/** A host behind a NAT of this kind. */
async function hostBehind(lab: Lab, kind: Kind, name: string): Promise<Host> {
  switch (kind) {
    case 'none':
      return lab.host(name)
    case 'double': {
      const outer = await lab.nat(`${name}-outer`, 'port-restricted')
      return lab.host(name, await lab.nat(`${name}-nat`, 'port-restricted', outer))
    }
    default:
      return lab.host(name, await lab.nat(`${name}-nat`, kind))
  }
}

/** The words that doctor has for each side, by kind. */
interface Tokens {
  readonly share: ReadonlyMap<string, string | null>
  readonly access: ReadonlyMap<string, string | null>
}

/** What doctor prints for the other side, on each of some hosts. */
async function tokensOf(tunnels: Tunnels, hosts: ReadonlyMap<string, Host>): Promise<Map<string, string | null>> {
  const find = async ([kind, host]: [string, Host]) => [kind, (await tunnels.doctor(host)).token] as const
  return new Map(await Promise.all([...hosts].map(find)))
}

/** Whether doctor on the host of the access, given the word of the share, says that the two meet. */
function meet(tokens: Tokens, share: Kind, access: Kind): string {
  const [near, far] = [tokens.access.get(access), tokens.share.get(share)]
  return verdict(near ? parseNat(near) : null, far ? parseNat(far) : null).meet
}

/** Prints a table, its columns as wide as their widest cell. */
function printTable(title: string, rows: readonly (readonly string[])[]): void {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0))
  const lines = rows.map((row) => row.map((text, column) => text.padEnd(width(column))).join('  '))
  process.stderr.write(`${title}\n${lines.join('\n')}\n\n`)
}

function printTokens(tokens: Tokens): void {
  const word = (token: string | null | undefined) => token ?? '?'
  const rows = KINDS.map((kind) => [kind, word(tokens.share.get(kind)), word(tokens.access.get(kind))])
  printTable('doctor', [['', 'on the host of the share', 'on the host of the access'], ...rows])
}

function printOutcomes(engine: EngineName, tokens: Tokens, outcomes: Outcomes): void {
  const rows = KINDS.map((share) => {
    const cells = KINDS.map((access, column) => {
      const outcome = outcomes.get(cell(share, access))
      const seen = outcome === undefined ? '?' : brief(outcome)
      return `${EXPECTED[share][column] ? 'works' : 'fails'} | ${meet(tokens, share, access)} | ${seen}`
    })
    return [share, ...cells]
  })
  printTable(`${engine}, expected | doctor: do they meet? | seen`, [['share ↓ access →', ...KINDS], ...rows])
}

describeLab('who reaches whom', () => {
  const cells = KINDS.flatMap((share) => KINDS.map((access, column) => ({ share, access, column })))
  const outcomes = new Map<EngineName, Outcomes>()
  let tokens: Tokens
  let lab: Lab
  let tunnels: Tunnels

  beforeAll(async () => {
    lab = await Lab.create()
    tunnels = await Tunnels.start(await lab.host('signal'))
    const [shares, accesses] = [new Map<string, Host>(), new Map<string, Host>()]
    for (const kind of KINDS) {
      shares.set(kind, await hostBehind(lab, kind, `share-${kind}`))
      accesses.set(kind, await hostBehind(lab, kind, `access-${kind}`))
    }
    tokens = { share: await tokensOf(tunnels, shares), access: await tokensOf(tunnels, accesses) }
    printTokens(tokens)
    await Promise.all(
      ENGINES.map(async (engine) => outcomes.set(engine, await matrix(tunnels, engine, shares, accesses))),
    )
    for (const [engine, seen] of outcomes) printOutcomes(engine, tokens, seen)
  })

  afterAll(async () => {
    await tunnels?.close()
    await lab?.close()
  })

  describe('doctor', () => {
    test.each(KINDS)('names what stands before a host: %s', (kind) => {
      expect([tokens.share.get(kind), tokens.access.get(kind)]).toEqual([TOKENS[kind], TOKENS[kind]])
    })

    test.each(cells)('knows what becomes of share $share × access $access', ({ share, access, column }) => {
      expect(meet(tokens, share, access)).toBe(EXPECTED[share][column] ? 'yes' : 'no')
    })
  })

  describe.each(ENGINES)('%s', (engine) => {
    test.each(cells)('share $share × access $access', ({ share, access, column }) => {
      const expected = EXPECTED[share][column] ? 'works' : ({ access, share, because: 'not-crossed' } as const)
      expectOutcome(outcomes.get(engine)?.get(cell(share, access)), expected)
    })
  })
})
