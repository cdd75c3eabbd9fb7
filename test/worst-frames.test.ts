/** What a member can make a share process hold with frames that are within its credit: no more than some of their bytes. */
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { encodeFrame } from '../shared/frames.ts'
import { LIMITS } from '../shared/limits.ts'
import { join } from './support/frames.ts'
import { HostileAccess } from './support/hostile-access.ts'
import { TcpTarget } from './support/tcp.ts'
import { ENGINES, type Network, type Peer, startNetwork } from './support/tunnel.ts'

const MIB = 1024 * 1024
const COLLECTED = { NODE_OPTIONS: `--import ${new URL('./support/collect-garbage.mjs', import.meta.url)}` }
/** bytes of messages, each with one byte of data */
const PINNED = 64 * MIB
const STREAMS = 4
/** bytes of credit that are kept for single ones */
const KEPT = 64 * 1024
/** of them in a message */
const CRUMBS = 4000
const GROWTH = 32 * MIB

/** bytes in the memory of a process, where the system tells; else null */
async function memory(pid: number): Promise<number | null> {
  if (process.platform !== 'linux') return null
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
  return kib === undefined ? null : Number(kib) * 1024
}

/** A stream of the attacker, and how far it has sent. */
class Attack {
  readonly #peer: HostileAccess
  readonly #stream: number
  #sent = 0

  constructor(peer: HostileAccess, stream: number) {
    this.#peer = peer
    this.#stream = stream
  }

  open(): Promise<void> {
    return this.#peer.send(encodeFrame({ type: 'OPEN', stream: this.#stream }))
  }

  get left(): number {
    return this.#peer.limit(this.#stream) - this.#sent
  }

  /** Sends until the target's socket takes no more, but for the last bytes of the credit. */
  async fill(): Promise<void> {
    for (let still = 0; still < 10; ) {
      const size = Math.min(60_000, this.left - KEPT)
      if (size <= 0) {
        // What the kernel still takes it takes at once.
        await this.#peer.seen()
        still++
      } else {
        still = 0
        await this.#peer.send(this.#data(size))
      }
    }
  }

  /** Messages of 64 KiB, of which one byte is data. */
  async pin(bytes: number): Promise<void> {
    const credit = encodeFrame({ type: 'CREDIT', stream: this.#stream, taken: 0, window: LIMITS.initialWindow })
    const filling = Array.from({ length: Math.floor((LIMITS.messageBytes - 16) / credit.length) }, () => credit)
    for (let sent = 0; sent < bytes; sent += LIMITS.messageBytes) await this.#peer.send(join(...filling, this.#data(1)))
    await this.#peer.seen()
  }

  /** Frames of one byte, at most {@link KEPT} of them. */
  async crumble(): Promise<void> {
    for (let left = Math.min(KEPT, this.left); left > 0; left -= CRUMBS) {
      const frames = Array.from({ length: Math.min(CRUMBS, left) }, () => this.#data(1))
      await this.#peer.send(join(...frames))
    }
    await this.#peer.seen()
  }

  #data(size: number): Uint8Array {
    const frame = encodeFrame({
      type: 'DATA',
      stream: this.#stream,
      offset: this.#sent,
      payload: new Uint8Array(size),
    })
    this.#sent += size
    return frame
  }
}

/** With the connections that the printer takes at once. */
const CASES: readonly [string, number | undefined][] = [
  ['for a printer that does not read', undefined],
  ['for connections that wait for their turn', 1],
]

describe.each(ENGINES)('%s', (engine) => {
  let network: Network
  let printer: TcpTarget

  beforeAll(async () => {
    network = await startNetwork()
    printer = await TcpTarget.start((socket) => socket.pause())
  })
  afterAll(async () => {
    await network?.stop()
    await printer?.off()
  })

  // What waits does so in the same way on both, and werift takes long to bring it.
  test.each(engine === 'werift' ? CASES.slice(0, 1) : CASES)('%s', async (what, maxConnections) => {
    const name = `printer${maxConnections ?? ''}`
    const options = { engine, env: COLLECTED, ...(maxConnections === undefined ? {} : { maxConnections }) }
    const share: Peer = await network.share({ [name]: printer.address }, options)
    const hostile = await HostileAccess.join(network.home('access'), name, engine)
    try {
      const attacks = Array.from({ length: STREAMS }, (_, index) => new Attack(hostile, index + 2))
      // Through it, so that what the process takes for a stream is taken.
      for (const attack of attacks) await attack.open()
      const holders = maxConnections === undefined ? attacks : attacks.slice(0, maxConnections)
      for (const attack of holders) await attack.fill()
      const before = (await memory(share.pid)) ?? 0
      await attacks.at(-1)?.pin(PINNED)
      const pinned = (await memory(share.pid)) ?? 0
      for (const attack of attacks) await attack.crumble()
      const after = (await memory(share.pid)) ?? 0
      const growth = [pinned - before, after - before]
      process.stderr.write(
        `${engine}, ${what}: ${growth.map((bytes) => (bytes / MIB).toFixed(1)).join(', then ')} MiB\n`,
      )
      for (const bytes of growth) expect(bytes).toBeLessThan(GROWTH)
    } finally {
      await hostile.stop()
      await share.stop()
    }
  })
})
