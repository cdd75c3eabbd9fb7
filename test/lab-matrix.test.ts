/**
 * Who reaches whom: a share behind each kind of NAT and an access behind each, on both engines, all at the same time.
 * A job must arrive byte-exact, or fail in time where two NATs cannot be crossed.
 */
import { afterAll, beforeAll, describe, test } from '@jest/globals'
import { type Host, Lab } from './lab/lab.ts'
import { brief, expectOutcome, type Outcome, print } from './lab/outcome.ts'
import { Tunnels } from './lab/programs.ts'
import { describeLab } from './lab/system.ts'
import { ENGINES, type EngineName } from './support/tunnel.ts'

/** none: a host of the internet; double: a port-restricted NAT behind another one */
const KINDS = ['none', 'open', 'port-restricted', 'endpoint-dependent', 'double'] as const
type Kind = (typeof KINDS)[number]

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

/** Prints what was expected against what was seen, its columns as wide as their widest cell. */
function printTable(engine: EngineName, outcomes: Outcomes): void {
  const rows = KINDS.map((share) => {
    const cells = KINDS.map((access, column) => {
      const outcome = outcomes.get(cell(share, access))
      return `${EXPECTED[share][column] ? 'works' : 'fails'} | ${outcome === undefined ? '?' : brief(outcome)}`
    })
    return [share, ...cells]
  })
  const all = [['share ↓ access →', ...KINDS], ...rows]
  const width = (column: number) => Math.max(...all.map((row) => row[column]?.length ?? 0))
  const lines = all.map((row) => row.map((text, column) => text.padEnd(width(column))).join('  '))
  process.stderr.write(`${engine}, expected | seen\n${lines.join('\n')}\n\n`)
}

describeLab('who reaches whom', () => {
  const cells = KINDS.flatMap((share) => KINDS.map((access, column) => ({ share, access, column })))
  const outcomes = new Map<EngineName, Outcomes>()
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
    await Promise.all(
      ENGINES.map(async (engine) => outcomes.set(engine, await matrix(tunnels, engine, shares, accesses))),
    )
    for (const [engine, seen] of outcomes) printTable(engine, seen)
  })

  afterAll(async () => {
    await tunnels?.close()
    await lab?.close()
  })

  describe.each(ENGINES)('%s', (engine) => {
    test.each(cells)('share $share × access $access', ({ share, access, column }) => {
      expectOutcome(outcomes.get(engine)?.get(cell(share, access)), EXPECTED[share][column] ?? false)
    })
  })
})
