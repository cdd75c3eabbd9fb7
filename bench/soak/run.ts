/** One soak: load and faults for a time, then a quiet phase in which everything must work. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Fault, Faults } from './faults.ts'
import type { Cutter } from './network.ts'
import type { Printer } from './printer.ts'
import { Random } from './random.ts'
import { type Explained, explain, wasKilled } from './reasons.ts'
import { type Lingering, lingering } from './restarts.ts'
import { type Growth, growths, SAMPLE_EVERY, type Sample, sampleAll } from './samples.ts'
import { drawOrder, drawPause, type Job, type Order, send } from './till.ts'
import { type Kills, mismatches } from './verify.ts'
import type { World } from './world.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const TILLS_PER_ACCESS = 8
/** ms after the last fault in which every job must be over: the grace time of a link, the silence before it, and more. */
const SETTLE = 150 * SECOND
/** ms in which every access must reach every printer again: the slowest reconnect to the server, and a new link. */
const RECOVER = 90 * SECOND
const POLL = 200
const QUIET_JOB_BYTES = 64 * 1024
/** A longer run spares one half of the processes in its first half, and the others in its second. */
const SPARE_ALL = 10 * MINUTE

export interface SoakOptions {
  readonly minutes: number
  readonly seed: number
  readonly engines: readonly string[]
}

export interface Results {
  readonly began: number
  readonly ended: number
  readonly jobs: readonly Job[]
  readonly faults: readonly Fault[]
  readonly lost: readonly Explained[]
  readonly lingering: Lingering
  /** connections that a printer got and that ended in order without a byte */
  readonly empty: number
  readonly samples: readonly Sample[]
  readonly growths: readonly Growth[]
  readonly warnings: ReadonlyMap<string, number>
  readonly engines: ReadonlyMap<string, string | null>
  readonly repeatedStarts: number
  /** what the quiet phase came to */
  readonly quiet: { readonly printed: number; readonly attempts: number; readonly seconds: number }
  readonly failures: Readonly<Record<Check, readonly string[]>>
}

export const CHECKS = ['mismatches', 'hangs', 'unexplained', 'growth', 'crashes', 'quiet'] as const
export type Check = (typeof CHECKS)[number]

export class Soak {
  readonly #world: World
  readonly #options: SoakOptions
  readonly #faults: Faults
  readonly #random: Random
  readonly #jobs: Job[] = []
  readonly #samples: Sample[] = []
  readonly #say: (line: string) => void
  readonly #began = Date.now()
  #over = false
  #sampling: Promise<void> = Promise.resolve()

  constructor(world: World, options: SoakOptions, cutter: Cutter | null, say: (line: string) => void) {
    this.#world = world
    this.#options = options
    this.#say = say
    this.#random = new Random(options.seed)
    this.#faults = new Faults(world, this.#random.fork(), cutter, () => this.#spared())
  }

  async run(): Promise<Results> {
    const until = this.#began + this.#options.minutes * MINUTE
    this.#sampling = this.#sample()
    const tills = [...this.#world.binds].flatMap(([access, binds]) =>
      Array.from({ length: TILLS_PER_ACCESS }, () => this.#till(access, binds, until)),
    )
    await this.#faults.run(until)
    this.#say('all faults are mended; waiting for the jobs under way')
    await before(Promise.all(tills), SETTLE)
    const hangs = this.#hangs()
    const quiet = await this.#quiet()
    this.#over = true
    await this.#sampling
    return this.#results(hangs, quiet)
  }

  async #till(access: string, binds: ReadonlyMap<string, number>, until: number): Promise<void> {
    const random = this.#random.fork()
    for (;;) {
      await delay(drawPause(random))
      if (Date.now() >= until) return
      await this.#send(drawOrder(random, this.#jobs.length + 1, access, binds))
    }
  }

  #send(order: Order): Promise<Job> {
    return send(order, (job) => this.#jobs.push(job))
  }

  /** One share and one access at a time are put to sleep and cut off, but not restarted. */
  #spared(): ReadonlySet<string> {
    const { minutes, seed } = this.#options
    const second =
      minutes * MINUTE >= SPARE_ALL ? (Date.now() - this.#began) / (minutes * MINUTE) > 0.5 : seed % 2 === 0
    const side = second ? 2 : 1
    return new Set([`share-${side}`, `access-${side}`])
  }

  async #sample(): Promise<void> {
    for (let n = 1; !this.#over; n++) {
      this.#samples.push(...(await sampleAll(this.#world.services)))
      if (n % (MINUTE / SAMPLE_EVERY) === 0) this.#progress()
      await delay(SAMPLE_EVERY)
    }
    this.#samples.push(...(await sampleAll(this.#world.services)))
  }

  #progress(): void {
    const count = (outcome: Job['outcome']) => this.#jobs.filter((job) => job.outcome === outcome).length
    const minute = Math.round((Date.now() - this.#began) / MINUTE)
    const faults = this.#faults.past.length
    this.#say(
      `minute ${minute}: ${count('printed')} printed, ${count('reset')} reset, ${count('open')} open, ${faults} faults`,
    )
  }

  /** What should be over by now and is not. */
  #hangs(): string[] {
    const jobs = this.#jobs.filter(({ outcome }) => outcome === 'open')
    return jobs.map(
      ({ id, access, printer, from, size, beganAt }) =>
        `job ${id} (${access} ${from} to ${printer}, ${size} bytes) is neither printed nor reset after ` +
        `${Math.round((Date.now() - beganAt) / SECOND)} s`,
    )
  }

  /** Nothing is broken any more: every access comes to print at every printer, and then does so at once. */
  async #quiet(): Promise<{ failures: string[]; printed: number; attempts: number; seconds: number }> {
    const began = Date.now()
    const ways = [...this.#world.binds].flatMap(([access, binds]) =>
      [...binds].map(([printer, port]) => ({ access, printer, port })),
    )
    const order = (way: (typeof ways)[number]): Order => ({
      ...{ ...way, id: this.#jobs.length + 1, size: QUIET_JOB_BYTES, pace: null, givesUpAfter: null },
    })
    let attempts = 0
    const lost = new Set(ways)
    const recovered = ways.map(async (way) => {
      while (lost.has(way) && Date.now() - began < RECOVER) {
        attempts++
        const { outcome } = await this.#send(order(way))
        if (outcome === 'printed') lost.delete(way)
        else await delay(POLL)
      }
    })
    await before(Promise.all(recovered), RECOVER)
    const failures = [...lost].map(
      ({ access, printer }) => `${access} did not reach ${printer} in ${RECOVER / SECOND} s`,
    )
    const seconds = (Date.now() - began) / SECOND
    const first = this.#jobs.length
    await before(Promise.all(ways.map((way) => this.#send(order(way)))), SETTLE)
    const jobs = this.#jobs.slice(first)
    const wrong = jobs.filter(({ outcome }) => outcome !== 'printed')
    failures.push(...wrong.map(({ access, printer, outcome }) => `a job from ${access} to ${printer}: ${outcome}`))
    await until(() => this.#world.printers.every(({ open }) => open === 0), SETTLE)
    for (const printer of this.#world.printers) failures.push(...leftOpen(printer))
    return { failures, printed: jobs.length - wrong.length, attempts, seconds }
  }

  #results(hangs: readonly string[], quiet: Results['quiet'] & { readonly failures: readonly string[] }): Results {
    const { services, printers, log } = this.#world
    const jobs = this.#jobs
    const faults = this.#faults.past
    const kills: Kills = {
      share: ({ printer, openedAt, endedAt }) =>
        wasKilled(faults, this.#world.shareOf.get(printer)?.name ?? '', openedAt, endedAt),
      access: ({ access, beganAt, endedAt }) => wasKilled(faults, access, beganAt, endedAt),
    }
    const receipts = printers.flatMap((printer) => printer.receipts)
    const lost = jobs
      .filter(({ outcome }) => ['reset', 'ended', 'refused'].includes(outcome))
      .map((job) => explain(job, this.#world, faults))
    const grown = growths(this.#samples)
    return {
      ...{ began: this.#began, ended: Date.now(), jobs, faults, lost, samples: this.#samples, growths: grown },
      lingering: lingering(jobs, receipts, faults, (printer) => this.#world.shareOf.get(printer)?.name),
      empty: receipts.filter(({ bytes, end }) => bytes === 0 && end === 'fin').length,
      warnings: log.warnings,
      engines: new Map(services.map(({ name, engine }) => [name, engine])),
      repeatedStarts: services.reduce((sum, service) => sum + service.repeatedStarts, 0),
      quiet,
      failures: {
        mismatches: mismatches(jobs, receipts, kills),
        hangs,
        unexplained: lost.filter(({ explained }) => !explained).map(({ job, reason }) => sentence(job, reason)),
        growth: grown.filter(({ grows }) => grows).map(({ instance }) => `${instance.service} #${instance.number}`),
        crashes: services.flatMap(({ crashes }) => crashes),
        quiet: quiet.failures,
      },
    }
  }
}

function sentence({ id, access, printer, from, beganAt, endedAt }: Job, reason: string): string {
  const [began, lasted] = [new Date(beganAt).toISOString(), ((endedAt - beganAt) / SECOND).toFixed(1)]
  return `job ${id} (${access} ${from} to ${printer}, ${began}, ${lasted} s): ${reason}`
}

const leftOpen = ({ name, open }: Printer): string[] =>
  open === 0 ? [] : [`${name} has ${open} connections that no job belongs to`]

/** Resolves with the promise, or at the deadline. */
async function before(promise: Promise<unknown>, deadline: number): Promise<void> {
  const timer = new AbortController()
  await Promise.race([promise, delay(deadline, undefined, { signal: timer.signal }).catch(() => undefined)])
  timer.abort()
}

async function until(condition: () => boolean, deadline: number): Promise<void> {
  const end = Date.now() + deadline
  while (!condition() && Date.now() < end) await delay(POLL)
}
