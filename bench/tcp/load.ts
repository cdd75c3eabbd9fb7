/** The loads of the bench, over the local ports of whatever carries them. */
import { setTimeout as delay } from 'node:timers/promises'
import { Line } from './line.ts'

export type Direction = 'up' | 'down' | 'both'

export interface Bulk {
  readonly direction: Direction
  /** bytes in all, of both directions together */
  readonly bytes: number
  readonly connections: number
  /** of so many of the ports */
  readonly shares: number
}

/** Moves bytes over connections that are up, spread over the ports; returns the seconds it took. */
export async function bulk(all: readonly number[], { direction, bytes, connections, shares }: Bulk): Promise<number> {
  const ports = all.slice(0, shares)
  const lines = await Promise.all(Array.from({ length: connections }, (_, i) => Line.open(portOf(ports, i))))
  // Until each is known at the other end: what a connection costs is another case.
  await Promise.all(lines.map((line) => line.run({ up: 1, down: 1 })))
  const each = Math.ceil(bytes / connections / (direction === 'both' ? 2 : 1))
  const job = { up: direction === 'down' ? 0 : each, down: direction === 'up' ? 0 : each }
  const begun = performance.now()
  await Promise.all(lines.map((line) => line.run(job)))
  const seconds = (performance.now() - begun) / 1000
  await Promise.all(lines.map((line) => line.close()))
  return seconds
}

export interface Short {
  readonly connections: number
  readonly atOnce: number
  /** seconds after which no further connection is begun */
  readonly most: number
}

/** Connections of 2 KiB, each with an answer and its end, one after another or some at once; returns how many a second. */
export async function short(port: number, { connections, atOnce, most }: Short): Promise<number> {
  const begun = performance.now()
  let started = 0
  let done = 0
  const work = async () => {
    while (started < connections && performance.now() - begun < most * 1000) {
      started++
      await Line.once(port, { up: 2048, down: 0 })
      done++
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return done / ((performance.now() - begun) / 1000)
}

/** ms from connect() to the first byte back, of connections that are made one after another with pauses between. */
export async function firstBytes(port: number, count: number, pause: number, up = 1): Promise<number[]> {
  const samples: number[] = []
  for (let i = 0; i < count; i++) {
    samples.push((await Line.once(port, { up, down: 0 })).firstByte)
    if (pause > 0) await delay(pause)
  }
  return samples
}

/** ms until a byte is back on a connection that is open, one after another with pauses between. */
export async function echoes(port: number, count: number, pause: number): Promise<number[]> {
  const line = await Line.open(port)
  try {
    const samples: number[] = []
    for (let i = 0; i < count; i++) {
      samples.push((await line.run({ up: 1, down: 0 })).firstByte)
      await delay(pause)
    }
    return samples
  } finally {
    await line.close()
  }
}

export interface FirstAnswer {
  /** ms since the begin */
  readonly at: number
  /** Connections that were made and then reset. */
  readonly resets: number
}

/** {@link Line.once}, tried until there is an answer. Rejects after so many seconds. */
export async function firstAnswer(port: number, begun: number, most = 60): Promise<FirstAnswer> {
  for (let resets = 0; ; ) {
    try {
      await Line.once(port, { up: 1, down: 0 })
      return { at: performance.now() - begun, resets }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') resets++
      if (performance.now() - begun > most * 1000) throw error
      await delay(2)
    }
  }
}

/** bytes a second that come down one connection, between so many ms after its begin and so many later. */
export async function rateDown(
  ports: readonly number[],
  host: string,
  warm: number,
  measured: number,
): Promise<number> {
  const lines = await Promise.all(ports.map((port) => Line.open(port, host)))
  const received = () => lines.reduce((sum, line) => sum + line.received, 0)
  try {
    // Not waited for: they have no end. A failure is seen in that nothing comes.
    const ended = Promise.race(lines.map((line) => line.run({ up: 0, down: 2 ** 50 }))).then(
      () => new Error('an endless job ended'),
      (error: Error) => error,
    )
    const failed = await Promise.race([ended, delay(warm, null)])
    if (failed !== null) throw failed
    const [before, begun] = [received(), performance.now()]
    const late = await Promise.race([ended, delay(measured, null)])
    if (late !== null) throw late
    return (received() - before) / ((performance.now() - begun) / 1000)
  } finally {
    for (const line of lines) line.destroy()
  }
}

const portOf = (ports: readonly number[], index: number): number => {
  const port = ports[index % ports.length]
  if (port === undefined) throw new Error('no port to connect to')
  return port
}
