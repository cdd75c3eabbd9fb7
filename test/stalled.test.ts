/**
 * A printer that stops reading for good, and a till that does: memory stays bounded on both sides, and all other
 * connections keep their pace.
 */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { dial, hashAll, readSome, sha256, TcpTarget } from './support/tcp.ts'
import { type Access, ENGINES, type Network, type Peer, startNetwork } from './support/tunnel.ts'

const MIB = 1024 * 1024
const JOB = 300 * MIB
/** What a stalled connection may hold at most on the way: its window, and the buffers of four kernel sockets. */
const ON_THE_WAY = 32 * MIB
const GROWTH = 32 * MIB
/** Until what the runtime and the engine take once is taken: that is not what a stalled connection costs. */
const WARM_UP_ROUNDS = 4
const COLLECTED = { NODE_OPTIONS: `--import ${new URL('./support/collect-garbage.mjs', import.meta.url)}` }

/** Writes a job that is larger than memory should hold, whenever the socket takes more. */
class Job {
  readonly socket: Socket
  /** bytes left to write */
  #left = JOB
  readonly #chunk = Buffer.alloc(MIB, 'x')

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('drain', () => this.#fill())
    this.#fill()
  }

  /** Bytes the kernel has taken: what the socket of this process still holds does not count. */
  get accepted(): number {
    return JOB - this.#left - this.socket.writableLength
  }

  #fill(): void {
    let more = true
    while (more && this.#left > 0) {
      this.#left -= MIB
      more = this.socket.write(this.#chunk)
    }
  }
}

/** The most memory a process has held so far, in bytes, where the system tells; else null. */
async function peakBytes(pid: number): Promise<number | null> {
  if (process.platform !== 'linux') return null
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
  return kib === undefined ? null : Number(kib) * 1024
}

describe.each(ENGINES)('%s', (engine) => {
  let network: Network
  let share: Peer
  let access: Access
  /** Of two shares; each printer takes a job and answers with its hash, unless a test takes the connection. */
  let printers: TcpTarget[]
  const job = randomBytes(8 * MIB)
  const hash = sha256(job)

  beforeAll(async () => {
    network = await startNetwork()
    const printer = () =>
      TcpTarget.start(async (socket) => {
        socket.end(await hashAll(socket))
      })
    printers = [await printer(), await printer()]
    const [one, two] = printers
    share = await network.share({ one: one?.address ?? '', two: two?.address ?? '' }, { engine, env: COLLECTED })
    access = await network.access(['one', 'two'], { engine, env: COLLECTED })
    for (let round = 0; round < WARM_UP_ROUNDS; round++) await others()
  })

  afterAll(async () => {
    await network?.stop()
    for (const printer of printers ?? []) await printer.off()
  })

  const port = (name: 'one' | 'two') => access.ports[name] ?? 0

  /** 8 MiB to the same and to the other share, at the same time. */
  async function others(): Promise<void> {
    const print = async (name: 'one' | 'two') => {
      const socket = await dial(port(name))
      const answer = readSome(socket, hash.length)
      socket.end(job)
      expect((await answer).toString()).toBe(hash)
    }
    await Promise.all([print('one'), print('two')])
  }

  /** A connection to the share "one", from both of its ends. */
  async function pair(): Promise<{ client: Socket; printer: Socket }> {
    const arrived = printers[0]?.next()
    const client = await dial(port('one'))
    const printer = await arrived
    if (printer === undefined) throw new Error('there is no printer')
    return { client, printer }
  }

  /**
   * The bytes the job got rid of before it stood still. The others have a fair part of the link, so whatever the
   * stalled one can still move moves while 16 MiB of theirs do: it stands still once it moved nothing in such a round.
   */
  async function standstill(job: Job): Promise<number> {
    let accepted: number
    do {
      accepted = job.accepted
      await others()
    } while (job.accepted !== accepted)
    return accepted
  }

  test.each(['printer', 'till'] as const)('a %s that reads 1 MiB of 300 and stops', async (who) => {
    const { client, printer } = await pair()
    const [from, to] = who === 'printer' ? [client, printer] : [printer, client]
    const before = await Promise.all([peakBytes(share.pid), peakBytes(access.pid)])
    const big = new Job(from)
    await readSome(to, MIB)

    const accepted = await standstill(big)
    const after = await Promise.all([peakBytes(share.pid), peakBytes(access.pid)])
    const growth = after.map((bytes, side) => (bytes ?? 0) - (before[side] ?? 0))
    process.stderr.write(
      `${engine}, ${who} stalled: ${(accepted / MIB).toFixed(1)} MiB accepted; growth of share and access: ${growth
        .map((bytes) => (bytes / MIB).toFixed(1))
        .join(' and ')} MiB\n`,
    )
    expect(accepted).toBeGreaterThanOrEqual(MIB)
    expect(accepted).toBeLessThan(ON_THE_WAY)
    for (const bytes of growth) expect(bytes).toBeLessThan(GROWTH)
    const lines = share.log.length
    to.resetAndDestroy()
    await share.resetLogged('one', lines)
    await others()
  })

  test('a till that gives up while the printer is stalled frees the printer', async () => {
    const { client, printer } = await pair()
    const big = new Job(client)
    await readSome(printer, MIB)
    await standstill(big)
    const lines = share.log.length
    client.resetAndDestroy()
    expect(await share.resetLogged('one', lines)).toMatchObject({ by: 'far', code: 'peer-reset' })
  })
})
