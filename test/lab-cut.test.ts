/**
 * A path that is cut in the middle of a job. 50 MiB go each way over one TCP connection, on both engines; the cut
 * comes when every end has some of it and none has all. Up to the grace time nobody at the ends notices; after it both
 * ends are reset, and the next job works.
 */
import { setTimeout } from 'node:timers/promises'
import { expect } from '@jest/globals'
import type { Namespace } from '../bench/network/namespace.ts'
import type { Host, Lab } from './lab/lab.ts'
import type { Printer, TcpEnd, TcpEvent, Tunnels } from './lab/programs.ts'
import { describeLab } from './lab/system.ts'
import { together, withLab } from './lab/together.ts'
import { type Access, ENGINES, type EngineName, type LogLine, type Peer } from './support/tunnel.ts'

const MIB = 1024 * 1024
const JOB = 50 * MIB
/** The cut comes once every end has so many bytes; those that are faster wait for the others with a few more. */
const UNDER_WAY = { send: JOB, mark: 8 * MIB, hold: 12 * MIB }
/** Mbit/s of every path, each way. */
const RATE = 80
/** Seconds from the return of the path to the last byte of every job, on a machine with much else to do. */
const REST = 150
/** Seconds that a link may take to come back: the longest pause between two tries, and one that fails. */
const RECOVERY = 60
/** Seconds that open connections survive without a path. */
const GRACE = 60

/** One engine's tunnel with a job under way in it. */
interface Job {
  readonly name: string
  readonly share: Peer
  readonly access: Access
  readonly printer: Printer
  readonly till: TcpEnd
}

/** The two ends of the path: hosts, and what stands on the internet for each. */
interface Sides {
  readonly share: Host
  readonly access: Host
  readonly path: readonly [Namespace, Namespace]
}

async function startJob(tunnels: Tunnels, { share, access }: Sides, engine: EngineName): Promise<Job> {
  const name = `printer-${engine}`
  const shared = await tunnels.share(share, engine, name, UNDER_WAY)
  const accessed = await tunnels.access(access, engine, [name])
  const till = tunnels.till(access, accessed, name, UNDER_WAY)
  return { ...shared, name, access: accessed, till }
}

const ends = (jobs: readonly Job[]): TcpEnd[] => jobs.flatMap(({ printer, till }) => [printer, till])
const peers = (jobs: readonly Job[]): Peer[] => jobs.flatMap(({ share, access }) => [share, access])
const linesOf = (peer: Peer, msg: string): LogLine[] => peer.log.filter((line) => line.msg === msg)

/** Cuts the path in the middle of a job of each engine, for so many seconds; returns when it is back. */
async function cutJobs(
  { internet }: Lab,
  tunnels: Tunnels,
  sides: Sides,
  seconds: number,
  meanwhile: () => Promise<void> = async () => undefined,
): Promise<{ jobs: Job[]; cutAt: number }> {
  for (const side of sides.path) await internet.limit(RATE, side)
  const jobs = await Promise.all(ENGINES.map((engine) => startJob(tunnels, sides, engine)))
  await Promise.all(ends(jobs).map((end) => end.told('mark', undefined, REST)))
  const dropped = await internet.dropped()
  // All move again when the cut comes; at this rate they would have all only seconds later.
  for (const end of ends(jobs)) end.release()
  await internet.cut(...sides.path)
  const cutAt = Date.now()
  await Promise.all([setTimeout(seconds * 1000), meanwhile()])
  // The path was in use, and nothing got by.
  expect(await internet.dropped()).toBeGreaterThan(dropped)
  expect(ends(jobs).flatMap((end) => end.events.filter(({ event }) => event === 'received'))).toEqual([])
  await internet.restore(...sides.path)
  return { jobs, cutAt }
}

/** Resolves when each end of a connection has got what the other one sent, byte for byte. */
async function arrivesWhole(printer: Printer, till: TcpEnd, connection: number, sends: number): Promise<void> {
  const atPrinter = (event: TcpEvent) => event.connection === connection
  const [up, printed, down, answered] = await Promise.all([
    till.told('sent', undefined, REST),
    printer.told('received', atPrinter, REST),
    printer.told('sent', atPrinter, REST),
    till.told('received', undefined, REST),
  ])
  expect(printed).toMatchObject({ bytes: sends, sha256: up.sha256 })
  expect(answered).toMatchObject({ bytes: JOB, sha256: down.sha256 })
}

/** Everything arrived, over the one connection, as if nothing had been. */
async function expectWhole(jobs: readonly Job[]): Promise<void> {
  await Promise.all(jobs.map(({ printer, till }) => arrivesWhole(printer, till, 1, JOB)))
  for (const { printer, share, access } of jobs) {
    expect(printer.events.filter(({ event }) => event === 'connected').length).toBe(1)
    for (const peer of [share, access]) expect(linesOf(peer, 'connection reset')).toEqual([])
  }
}

/** The link broke, and another took its place. */
function expectNewLink(jobs: readonly Job[]): void {
  for (const peer of peers(jobs)) {
    expect(linesOf(peer, 'link closed').length).toBeGreaterThanOrEqual(1)
    expect(linesOf(peer, 'link ready').length).toBeGreaterThanOrEqual(2)
  }
}

/** The last link of these peers goes to this address. */
function expectPathTo(address: string, from: readonly Peer[]): void {
  for (const peer of from) expect(linesOf(peer, 'link ready').at(-1)?.path).toContain(`${address}:`)
}

const onInternet = async (lab: Lab): Promise<Sides> => {
  const [share, access] = [await lab.host('share'), await lab.host('access')]
  return { share, access, path: [share.namespace, access.namespace] }
}

const behindNats = async (lab: Lab): Promise<Sides> => {
  const [near, far] = [await lab.nat('share-nat', 'port-restricted'), await lab.nat('access-nat', 'port-restricted')]
  const [share, access] = [await lab.host('share', near), await lab.host('access', far)]
  return { share, access, path: [near.namespace, far.namespace] }
}

/** The next job of each engine works, once there is a link again. */
async function expectNextJob(tunnels: Tunnels, sides: Sides, jobs: readonly Job[], after: number): Promise<void> {
  const next = async ({ access, name, printer }: Job) => {
    const isNew = (line: LogLine) => line.msg === 'link ready' && line.time >= after
    await access.logged('a new link', isNew, 0, RECOVERY)
    const till = tunnels.till(sides.access, access, name, { send: MIB })
    await arrivesWhole(printer, till, 2, MIB)
  }
  await Promise.all(jobs.map(next))
}

describeLab('a path that is cut in the middle of a job', () => {
  together({
    'for 5 s': () =>
      withLab(4, async (lab, tunnels) => {
        const { jobs } = await cutJobs(lab, tunnels, await behindNats(lab), 5)
        await expectWhole(jobs)
      }),

    'for 20 s, and one side has another address afterwards': () =>
      withLab(4, async (lab, tunnels) => {
        const sides = await onInternet(lab)
        let address = ''
        const { jobs } = await cutJobs(lab, tunnels, sides, 20, async () => {
          address = await lab.internet.readdress(sides.access.namespace)
        })
        await expectWhole(jobs)
        expectNewLink(jobs)
        expectPathTo(
          address,
          jobs.map(({ share }) => share),
        )
      }),

    'for 20 s, and the NAT of one side has another address afterwards': () =>
      withLab(4, async (lab, tunnels) => {
        const sides = await behindNats(lab)
        let address = ''
        const { jobs } = await cutJobs(lab, tunnels, sides, 20, async () => {
          address = await lab.internet.readdress(sides.path[0])
        })
        await expectWhole(jobs)
        expectNewLink(jobs)
        expectPathTo(
          address,
          jobs.map(({ access }) => access),
        )
      }),

    'for 45 s, with signaling down during the first half': () =>
      withLab(4, async (lab, tunnels) => {
        const { jobs } = await cutJobs(lab, tunnels, await behindNats(lab), 45, async () => {
          await tunnels.network.signaling.stop('SIGKILL')
          await setTimeout(22_500)
          await tunnels.network.startSignaling()
        })
        await expectWhole(jobs)
        expectNewLink(jobs)
      }),

    'for 90 s: both ends are reset after the grace time, with the reason in the log, and the next job works': () =>
      withLab(4, async (lab, tunnels) => {
        const sides = await behindNats(lab)
        const { jobs, cutAt } = await cutJobs(lab, tunnels, sides, 90)
        const restoredAt = Date.now()
        for (const end of ends(jobs)) {
          expect(end.events.filter(({ event }) => event === 'reset')).toMatchObject([{ code: 'ECONNRESET' }])
        }
        for (const peer of peers(jobs)) {
          const resets = linesOf(peer, 'connection reset')
          expect(resets).toMatchObject([{ code: 'link-lost', reason: expect.any(String) }])
          const [after] = resets.map(({ time }) => (time - cutAt) / 1000)
          expect(after).toBeGreaterThanOrEqual(GRACE)
        }
        await expectNextJob(tunnels, sides, jobs, restoredAt)
      }),
  })
})
