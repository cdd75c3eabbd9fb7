/**
 * Who reaches whom: a share behind each kind of NAT and an access behind each, on both engines, all at the same time.
 * A job must arrive byte-exact, or fail in time where two NATs cannot be crossed.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { LIMITS } from '../shared/limits.ts'
import { type Host, Lab } from './lab/lab.ts'
import { Tunnels } from './lab/programs.ts'
import type { Family } from './lab/segments.ts'
import { describeLab } from './lab/system.ts'
import { type Access, ENGINES, type EngineName } from './support/tunnel.ts'

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
/** bytes */
const JOB = 100_000
/** Seconds after its deadline that a failure may show on a machine with much else to do. */
const LATE = 3

type Outcome =
  | { readonly works: true }
  | { readonly works: false; readonly code: string | undefined; readonly seconds: number }

/** What becomes of a job of a till to a name. */
async function print(tunnels: Tunnels, host: Host, access: Access, name: string): Promise<Outcome> {
  const till = tunnels.till(host, access, name, { send: JOB })
  const { ms: began } = await till.told('connected')
  const { event, text, code, ms } = await till.ended(60)
  if (event === 'received') {
    // The printer answers with the hash of what it got.
    expect(text).toBe((await till.told('sent')).sha256)
    return { works: true }
  }
  expect(code).toBe('ECONNRESET')
  const line = await access.resetLogged(name)
  return { works: false, code: line.code, seconds: (ms - began) / 1000 }
}

function expectOutcome(outcome: Outcome, works: boolean): void {
  if (works) {
    expect(outcome).toEqual({ works: true })
    return
  }
  expect(outcome).toMatchObject({ works: false, code: 'link-timeout' })
  if (!outcome.works) expect(outcome.seconds).toBeLessThan(LIMITS.linkDeadline / 1000 + LATE)
  // Here the sentence that names the NAT will be asserted, once there is one.
}

const brief = (outcome: Outcome): string =>
  outcome.works ? 'works' : `${outcome.code} ${outcome.seconds.toFixed(1)} s`

/** A share on each of some hosts, and what becomes of a job to each of them from each of some others. */
async function matrix(
  tunnels: Tunnels,
  engine: EngineName,
  shares: ReadonlyMap<string, Host>,
  accesses: ReadonlyMap<string, Host>,
): Promise<Map<string, Outcome>> {
  const nameOf = (share: string) => `${engine}-${share}`
  await Promise.all([...shares].map(([share, host]) => tunnels.share(host, engine, nameOf(share))))
  const names = [...shares.keys()].map(nameOf)
  const outcomes = new Map<string, Outcome>()
  await Promise.all(
    [...accesses].map(async ([from, host]) => {
      const access = await tunnels.access(host, engine, names)
      await Promise.all(
        [...shares.keys()].map(async (share) => {
          outcomes.set(`${share} × ${from}`, await print(tunnels, host, access, nameOf(share)))
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

/** Rows and columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): string {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0))
  return rows.map((row) => row.map((cell, column) => cell.padEnd(width(column))).join('  ')).join('\n')
}

describeLab('who reaches whom', () => {
  const cells = KINDS.flatMap((share) => KINDS.map((access, column) => ({ share, access, column })))
  const labs: Lab[] = []
  const networks: Tunnels[] = []
  let tunnels: Tunnels
  let lab: Lab
  let outcomes: ReadonlyMap<EngineName, Promise<ReadonlyMap<string, Outcome>>>

  async function newLab(family: Family = 4): Promise<Lab> {
    const made = await Lab.create(family)
    labs.push(made)
    return made
  }

  async function newTunnels(on: Lab): Promise<Tunnels> {
    const made = await Tunnels.start(await on.host('signal'))
    networks.push(made)
    return made
  }

  beforeAll(async () => {
    lab = await newLab()
    tunnels = await newTunnels(lab)
    const [shares, accesses] = [new Map<string, Host>(), new Map<string, Host>()]
    for (const kind of KINDS) {
      shares.set(kind, await hostBehind(lab, kind, `share-${kind}`))
      accesses.set(kind, await hostBehind(lab, kind, `access-${kind}`))
    }
    outcomes = new Map(ENGINES.map((engine) => [engine, matrix(tunnels, engine, shares, accesses)]))
    // All at once here; a failure is that of the tests that look.
    await Promise.allSettled(outcomes.values())
  })

  afterAll(async () => {
    for (const each of networks) await each.close()
    for (const each of labs) await each.close()
  })

  describe.each(ENGINES)('%s', (engine) => {
    test('the matrix', async () => {
      const seen = await outcomes.get(engine)
      const rows = KINDS.map((share) => [
        share,
        ...KINDS.map((access, column) => {
          const outcome = seen?.get(`${share} × ${access}`)
          return `${EXPECTED[share][column] ? 'works' : 'fails'} | ${outcome ? brief(outcome) : 'missing'}`
        }),
      ])
      process.stderr.write(`${engine}, expected | seen\n${table([['share ↓ access →', ...KINDS], ...rows])}\n`)
    })

    test.each(cells)('share $share × access $access', async ({ share, access, column }) => {
      const outcome = (await outcomes.get(engine))?.get(`${share} × ${access}`)
      if (outcome === undefined) throw new Error('this cell was not tried')
      expectOutcome(outcome, EXPECTED[share][column] ?? false)
    })
  })
})
