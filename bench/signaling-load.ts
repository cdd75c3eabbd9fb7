/**
 * What a signaling server needs: memory and CPU for idle peers, CPU for an admission, and for a whole exchange: a peer
 * connects, is admitted, sends an offer to an idle one, gets its answer, ends the session and leaves. The server is
 * `nearport signal` at its defaults, its log thrown away. Rates are per core, from the CPU time of its process alone,
 * so that they tell of the server on a machine that its peers keep busy.
 *
 *     node dist/bench/signaling-load.js [--peers 5000] [--exchanges 2000] [--idle-seconds 20]
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Usage } from './usage-on-request.ts'

const KIB = 1024

export interface SignalingLoadOptions {
  /** At most LIMITS.signalingConnections; each takes a file descriptor in each of two processes. */
  readonly peers: number
  readonly exchanges: number
  /** seconds over which the CPU of the idle server is measured: several of its peers' pings */
  readonly idleSeconds: number
  /** The nearport that serves; by default this build. */
  readonly cli?: string | undefined
}

export interface SignalingFigures {
  readonly peers: number
  /** bytes of RSS per idle peer: as it is, and after a full garbage collection */
  readonly rssPerPeer: { readonly asLeft: number; readonly collected: number }
  /** bytes of the heap per idle peer, after a full garbage collection */
  readonly heapPerPeer: number
  /** of one core, with all peers idle */
  readonly idleCpu: number
  /** admissions that one core does in a second */
  readonly admissionsPerSecond: number
  /** exchanges that one core does in a second */
  readonly exchangesPerSecond: number
  /** exchanges in a second of the clock, on this machine, which the peers share */
  readonly exchangesSeen: number
}

/** Exchanges at once. */
const CONCURRENCY = 32
/** Share of the exchanges that go first and are not counted: V8 compiles what it finds to be hot. */
const WARM_UP = 0.25

export async function signalingLoad(options: SignalingLoadOptions): Promise<SignalingFigures> {
  const { peers, exchanges, idleSeconds } = options
  const home = await mkdtemp(join(tmpdir(), 'nearport-bench-'))
  const server = startServer(home, options.cli ?? besides('../bin/nearport.js'))
  const clients: ChildProcess[] = []
  try {
    const [line] = (await once(server.stdout as NodeJS.ReadableStream, 'data')) as [Buffer]
    const link = line.toString().trim().replace('nearport enable ', '')
    clients.push(startPeers(link))
    const [client] = clients as [ChildProcess]
    const tell = async (order: object) => ((await ask(client, order)) as { seconds: number }).seconds
    const usage = async (collectFirst = false) => (await ask(server, { collectFirst })) as Usage

    const empty = await usage(true)
    await tell({ connect: peers })
    const full = await usage()
    await delay(idleSeconds * 1000)
    const idle = await usage()
    const collected = await usage(true)
    await tell({ exchange: Math.ceil(exchanges * WARM_UP) })
    const warm = await usage()
    const seconds = await tell({ exchange: exchanges })
    const done = await usage()
    await tell({ close: true })
    return {
      peers,
      rssPerPeer: { asLeft: (idle.rss - empty.rss) / peers, collected: (collected.rss - empty.rss) / peers },
      heapPerPeer: (collected.heap - empty.heap) / peers,
      idleCpu: (idle.cpu - full.cpu) / idleSeconds,
      admissionsPerSecond: peers / (full.cpu - empty.cpu),
      exchangesPerSecond: exchanges / (done.cpu - warm.cpu),
      exchangesSeen: exchanges / seconds,
    }
  } finally {
    await Promise.all([server, ...clients].map(stop))
    await rm(home, { recursive: true })
  }
}

const besides = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

function startServer(home: string, cli: string): ChildProcess {
  return fork(cli, ['signal', '--listen', '127.0.0.1:0'], {
    execArgv: ['--import', new URL('usage-on-request.js', import.meta.url).href],
    env: { ...process.env, NEARPORT_HOME: home },
    stdio: ['ignore', 'pipe', 'ignore', 'ipc'],
  })
}

function startPeers(link: string): ChildProcess {
  const env = { ...process.env, NEARPORT_LINK: link }
  return fork(besides('signaling-peers.js'), [String(CONCURRENCY)], { env })
}

/** Sends a message to a child, and resolves with its answer; rejects if it ends instead. */
async function ask(child: ChildProcess, message: object): Promise<unknown> {
  const over = new AbortController()
  try {
    child.send(message)
    return await Promise.race([
      once(child, 'message', over).then(([answer]: unknown[]) => answer),
      once(child, 'exit', over).then(() => Promise.reject(new Error('a process of the bench ended early'))),
    ])
  } finally {
    over.abort()
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill()
  await exit
}

/** Rows of a Markdown table. */
export function signalingRows(figures: SignalingFigures): string[] {
  const kib = (bytes: number) => `${(bytes / KIB).toFixed(1)} KiB`
  const { peers, rssPerPeer, heapPerPeer, idleCpu, admissionsPerSecond, exchangesPerSecond, exchangesSeen } = figures
  return [
    ['memory per idle peer, RSS', kib(rssPerPeer.asLeft)],
    ['the same after a garbage collection', kib(rssPerPeer.collected)],
    ['of this the heap', kib(heapPerPeer)],
    [`CPU with ${peers} idle peers`, `${(idleCpu * 100).toFixed(1)} % of a core`],
    ['admissions', `${admissionsPerSecond.toFixed(0)} per second and core`],
    ['exchanges', `${exchangesPerSecond.toFixed(0)} per second and core`],
    ['exchanges seen, beside their peers', `${exchangesSeen.toFixed(0)} per second`],
  ].map((cells) => `| ${cells.join(' | ')} |`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      peers: { type: 'string', default: '5000' },
      exchanges: { type: 'string', default: '2000' },
      'idle-seconds': { type: 'string', default: '20' },
      cli: { type: 'string' },
    },
  })
  const figures = await signalingLoad({
    peers: Number(values.peers),
    exchanges: Number(values.exchanges),
    idleSeconds: Number(values['idle-seconds']),
    cli: values.cli,
  })
  console.log(['| signaling | |', '| --- | --- |', ...signalingRows(figures)].join('\n'))
}
