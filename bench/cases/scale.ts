/** 1, 10 and 99 shares in one process: how soon they are there, and what they cost. */
import { setTimeout as delay } from 'node:timers/promises'
import { type EngineName, Nearport, namesFor, pidOf } from '../contenders/nearport.ts'
import { cpuSeconds, residentBytes } from '../processes.ts'
import { Line } from '../tcp/line.ts'
import { TargetProcess } from '../tcp/target-process.ts'
import type { Case, Run } from './case.ts'
import { ENGINES } from './cold.ts'

const MIB = 1024 * 1024
const KIB = 1024
const GROUP = 'Many shares in one process'
const COUNTS = [1, 10, 99]
const CONNECTIONS = 200

export const scaleCase: Case = {
  id: 'scale',
  title: '1, 10 and 99 shares in one process: until all are usable, memory, idle CPU',
  run: async (run) => {
    for (let round = 0; round < (run.quick ? 1 : 3); round++) {
      for (const engine of ENGINES) {
        const contender = `nearport ${engine}`
        if (!run.contenders.some(({ name }) => name === contender)) continue
        run.say(`many shares: ${engine}`)
        try {
          await measure(run, contender, engine)
        } catch (error) {
          run.results.failed(`${contender}: scale`, error)
        }
      }
    }
  },
}

interface Memory {
  readonly near: number
  readonly far: number
}

async function measure({ results, quick }: Run, contender: string, engine: EngineName): Promise<void> {
  const add = (name: string, unit: string, value: number) => results.add({ group: GROUP, name, unit }, contender, value)
  const memory = new Map<number, Memory>()
  for (const count of COUNTS) {
    const plural = count === 1 ? '1 share' : `${count} shares`
    await withShares(engine, count, async ({ near, far, ports, ready }) => {
      add(`${plural}: from process start until all are usable`, 's', ready)
      const seconds = quick ? 4 : 8
      await delay(1000)
      const before = await cpuSeconds([near, far])
      await delay(seconds * 1000)
      add(`${plural}: idle CPU of both`, '%', (((await cpuSeconds([near, far])) - before) / seconds) * 100)
      const now = { near: await residentBytes([near]), far: await residentBytes([far]) }
      memory.set(count, now)
      if (count > 1) return
      add('memory, idle, access side', 'MiB', now.near / MIB)
      add('memory, idle, share side', 'MiB', now.far / MIB)
      const lines = await idleLines(ports[0] ?? 0)
      const held = { near: await residentBytes([near]), far: await residentBytes([far]) }
      add('memory a connection, access side', 'KiB', (held.near - now.near) / CONNECTIONS / KIB)
      add('memory a connection, share side', 'KiB', (held.far - now.far) / CONNECTIONS / KIB)
      for (const line of lines) await line.close()
    })
  }
  const [one, many] = [memory.get(1), memory.get(99)]
  if (one === undefined || many === undefined) return
  add('memory a share, access side', 'KiB', (many.near - one.near) / 98 / KIB)
  add('memory a share, share side', 'KiB', (many.far - one.far) / 98 / KIB)
}

/** Connections that have done a job of one byte, and do nothing now. */
async function idleLines(port: number): Promise<Line[]> {
  const lines = await Promise.all(Array.from({ length: CONNECTIONS }, () => Line.open(port, '127.0.0.1', 64)))
  await Promise.all(lines.map((line) => line.run({ up: 1, down: 0 })))
  await delay(1000)
  return lines
}

interface Up {
  readonly near: number
  readonly far: number
  readonly ports: readonly number[]
  /** seconds from the start of the access process until every port has answered */
  readonly ready: number
}

async function withShares(engine: EngineName, count: number, use: (up: Up) => Promise<void>): Promise<void> {
  const target = await TargetProcess.start()
  const nearport = await Nearport.start()
  try {
    const names = namesFor(Array.from({ length: count }, () => target.port))
    const far = await nearport.share(names, { engine })
    const begun = performance.now()
    const { child: near, ports } = await nearport.access([...names.keys()], { engine })
    await Promise.all(ports.map((port) => Line.once(port, { up: 1, down: 0 })))
    const ready = (performance.now() - begun) / 1000
    await use({ near: pidOf(near), far: pidOf(far), ports, ready })
  } finally {
    await nearport.close()
    await target.close()
  }
}
