/** 1, 10 and 99 shares in one process: how soon they are there, and what they cost. */
import { setTimeout as delay } from 'node:timers/promises'
import { type EngineName, Nearport, namesFor, pidOf } from '../contenders/nearport.ts'
import { cpuSeconds, residentBytes } from '../processes.ts'
import { Line } from '../tcp/line.ts'
import { TargetProcess } from '../tcp/target-process.ts'
import type { Case, Run } from './case.ts'
import { contenderOf, enginesOf } from './engines.ts'

const MIB = 1024 * 1024
const KIB = 1024
const GROUP = 'Many shares in one process'
const COUNTS = [1, 10, 99]
const IDLE_COUNTS = [1, 99] as const
const CONNECTIONS = 200
const IDLE_SECONDS = 10
/** ms. V8 collects the garbage of an idle process step by step, for about 45 s. */
const SETTLED = 60_000

export const scaleCase: Case = {
  id: 'scale',
  title: '1, 10 and 99 shares in one process: until all are usable, memory, idle CPU',
  run: async (run) => {
    const engines = enginesOf(run)
    for (let round = 0; round < (run.quick ? 1 : 3); round++) {
      for (const engine of engines) {
        run.say(`many shares: ${engine}`)
        await ready(run, engine).catch((error) => run.results.failed(`${contenderOf(engine)}: many shares`, error))
      }
      run.say('many shares: idle')
      await Promise.all(engines.map((engine) => idle(run, engine)))
    }
    run.results.note(
      `Memory and idle CPU of many shares: after ${SETTLED / 1000} s without work, when V8 has tidied up.`,
    )
  },
}

const sharesOf = (count: number): string => (count === 1 ? '1 share' : `${count} shares`)

async function ready({ results }: Run, engine: EngineName): Promise<void> {
  for (const count of COUNTS) {
    await withShares(engine, count, async ({ ready }) => {
      const name = `${sharesOf(count)}: from process start until all are usable`
      results.add({ group: GROUP, name, unit: 's' }, contenderOf(engine), ready)
    })
  }
}

interface Memory {
  /** bytes that are resident */
  readonly near: number
  readonly far: number
}

/** All counts beside each other, and all engines, as they only wait. */
async function idle({ results }: Run, engine: EngineName): Promise<void> {
  const add = (name: string, unit: string, value: number) =>
    results.add({ group: GROUP, name, unit }, contenderOf(engine), value)
  const memories = IDLE_COUNTS.map((count) =>
    withShares(engine, count, (up) => idleMemory(add, count, up)).catch((error) => {
      results.failed(`${contenderOf(engine)}: ${sharesOf(count)}, idle`, error)
      return null
    }),
  )
  const [few, many] = await Promise.all(memories)
  if (!few || !many) return
  const shares = IDLE_COUNTS[1] - IDLE_COUNTS[0]
  add('memory a share, access side', 'KiB', (many.near - few.near) / shares / KIB)
  add('memory a share, share side', 'KiB', (many.far - few.far) / shares / KIB)
}

type Add = (name: string, unit: string, value: number) => void

async function idleMemory(add: Add, count: number, up: Up): Promise<Memory> {
  await delay(SETTLED)
  const before = await cpuSeconds([up.near, up.far])
  await delay(IDLE_SECONDS * 1000)
  const cpu = (await cpuSeconds([up.near, up.far])) - before
  add(`${sharesOf(count)}: idle CPU of both`, '%', (cpu / IDLE_SECONDS) * 100)
  const memory = await memoryOf(up)
  if (count > 1) return memory
  add('memory, idle, access side', 'MiB', memory.near / MIB)
  add('memory, idle, share side', 'MiB', memory.far / MIB)
  const lines = await idleLines(up.ports[0] ?? 0)
  await delay(SETTLED)
  const more = await memoryOf(up)
  add('memory a connection, access side', 'KiB', (more.near - memory.near) / CONNECTIONS / KIB)
  add('memory a connection, share side', 'KiB', (more.far - memory.far) / CONNECTIONS / KIB)
  for (const line of lines) await line.close()
  return memory
}

const memoryOf = async ({ near, far }: Up): Promise<Memory> => ({
  near: await residentBytes([near]),
  far: await residentBytes([far]),
})

/** Connections that have done a job of one byte, and do nothing now. */
async function idleLines(port: number): Promise<Line[]> {
  const lines = await Promise.all(Array.from({ length: CONNECTIONS }, () => Line.open(port, '127.0.0.1', 64)))
  await Promise.all(lines.map((line) => line.run({ up: 1, down: 0 })))
  return lines
}

interface Up {
  readonly near: number
  readonly far: number
  readonly ports: readonly number[]
  /** seconds from the start of the access process until every port has answered */
  readonly ready: number
}

async function withShares<T>(engine: EngineName, count: number, use: (up: Up) => Promise<T>): Promise<T> {
  const target = await TargetProcess.start()
  const nearport = await Nearport.start()
  try {
    const names = namesFor(Array.from({ length: count }, () => target.port))
    const far = await nearport.share(names, { engine })
    const begun = performance.now()
    const { child: near, ports } = await nearport.access([...names.keys()], { engine })
    await Promise.all(ports.map((port) => Line.once(port, { up: 1, down: 0 })))
    const ready = (performance.now() - begun) / 1000
    return await use({ near: pidOf(near), far: pidOf(far), ports, ready })
  } finally {
    await nearport.close()
    await target.close()
  }
}
