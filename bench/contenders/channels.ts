/** Data channels without nearport: what an engine gives at its best, and what its user gets without care. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { owned } from '../cleanup.ts'
import type { Bulk } from '../tcp/load.ts'
import type { News, Order, Writing } from './channel-end.ts'
import type { Contender, Way } from './contender.ts'
import { type EngineName, engineAbsent } from './nearport.ts'

const KIB = 1024

interface ChannelKind {
  readonly name: string
  readonly engine: EngineName
  /** The program of an end. */
  readonly program: 'bare-end' | 'plain-end'
  readonly writing: Writing
}

/** An engine through nearport's adapter with its settings, written to in the way that was found to be the fastest. */
const bare = (engine: EngineName, writing: Writing): ChannelKind => ({
  name: `bare ${engine}`,
  engine,
  program: 'bare-end',
  writing,
})

export const KINDS: Readonly<Record<'bareNative' | 'bareWerift' | 'plainNative' | 'naiveWerift', ChannelKind>> = {
  bareNative: bare('native', { message: 64 * KIB, highWater: 64 * KIB }),
  bareWerift: bare('werift', { message: 64 * KIB, highWater: 128 * KIB }),
  /** node-datachannel with its default SCTP settings. */
  plainNative: {
    name: 'plain native',
    engine: 'native',
    program: 'plain-end',
    writing: { message: 64 * KIB, highWater: 1024 * KIB },
  },
  naiveWerift: {
    name: 'naive werift',
    engine: 'werift',
    program: 'plain-end',
    writing: { message: 16 * KIB, highWater: 1024 * KIB },
  },
}

/** Words before the program of each end. */
export interface Launches {
  readonly near: readonly string[]
  readonly far: readonly string[]
}

export const channel = (kind: ChannelKind): Contender => ({
  name: kind.name,
  kind: 'channel',
  comparedTo: kind.program === 'bare-end' ? ['raw TCP'] : [`bare ${kind.engine}`],
  absent: () => engineAbsent(kind.engine),
  start: async (): Promise<Way> => {
    const pair = await ChannelPair.open(kind)
    return {
      ports: [],
      near: [pair.near.pid ?? 0],
      far: [pair.far.pid ?? 0],
      bulk: (load) => pair.bulk(load),
      close: () => pair.close(),
    }
  },
})

export class ChannelPair {
  readonly near: ChildProcess
  readonly far: ChildProcess

  private constructor(near: ChildProcess, far: ChildProcess) {
    this.near = near
    this.far = far
  }

  static async open(kind: ChannelKind, launches: Launches = { near: [], far: [] }): Promise<ChannelPair> {
    const near = startEnd(kind, 'initiator', launches.near)
    const far = startEnd(kind, 'acceptor', launches.far)
    const pair = new ChannelPair(near, far)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('message', (news: News) => 'signal' in news && order(to, { signal: news.signal }))
    }
    try {
      await Promise.all([heard(near, 'open'), heard(far, 'open')])
      return pair
    } catch (error) {
      await pair.close()
      throw error
    }
  }

  async bulk({ direction, bytes }: Bulk): Promise<number> {
    const both = direction === 'both'
    const each = Math.ceil(both ? bytes / 2 : bytes)
    const ways = [
      ...(direction === 'down' ? [] : [{ from: this.near, to: this.far }]),
      ...(direction === 'up' ? [] : [{ from: this.far, to: this.near }]),
    ]
    const done = ways.map(({ to }) => heard(to, 'done'))
    for (const { to } of ways) order(to, { expect: each })
    const begun = performance.now()
    for (const { from } of ways) order(from, { send: each })
    await Promise.all(done)
    return (performance.now() - begun) / 1000
  }

  /** bytes a second from far to near, between so many ms after the begin and so many later; it goes on sending. */
  async rateDown(warm: number, measured: number): Promise<number> {
    const rate = heard(this.near, 'rate', warm + measured + 10_000)
    order(this.near, { rate: { warm, measured } })
    order(this.far, { send: 2 ** 50 })
    return (await rate).rate
  }

  async close(): Promise<void> {
    await Promise.all([this.near, this.far].map(ended))
  }
}

function startEnd(kind: ChannelKind, role: string, launch: readonly string[]): ChildProcess {
  const file = fileURLToPath(new URL(`${kind.program}.js`, import.meta.url))
  const { message, highWater } = kind.writing
  const words = [process.execPath, file, kind.engine, role, String(message), String(highWater)]
  const [program = '', ...args] = [...launch, ...words]
  return owned(spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }))
}

const order = (end: ChildProcess, what: Order): void => {
  if (end.connected) end.send(what)
}

type Told<K extends string> = Extract<News, { readonly [key in K]: unknown }>

/** Rejects when the process ends before, or after so many ms. */
function heard<K extends 'open' | 'done' | 'rate'>(end: ChildProcess, key: K, deadline = 120_000): Promise<Told<K>> {
  return new Promise((resolve, reject) => {
    const settle = (then: () => void) => {
      clearTimeout(timer)
      end.off('message', look).off('exit', gone)
      then()
    }
    const look = (news: News) => {
      if (key in news) settle(() => resolve(news as Told<K>))
    }
    const gone = () => settle(() => reject(new Error(`the end of a bare channel is gone before "${key}"`)))
    const late = () => settle(() => reject(new Error(`the end of a bare channel did not say "${key}"`)))
    const timer = setTimeout(late, deadline)
    end.on('message', look).on('exit', gone)
  })
}

function ended(end: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (end.exitCode !== null || end.signalCode !== null) return resolve()
    end.once('exit', () => resolve())
    end.kill()
  })
}
