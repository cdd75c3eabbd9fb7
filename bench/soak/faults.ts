/** Breaks things at random, and mends each after a while. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Cutter, udpPorts } from './network.ts'
import type { Printer } from './printer.ts'
import type { Random } from './random.ts'
import type { Service } from './service.ts'
import type { World } from './world.ts'

const SECOND = 1000
/** ms between the beginnings of two faults */
const EVERY = { least: 1 * SECOND, most: 5 * SECOND } as const
/** faults at the same time: with more of them nothing would be printed at all */
const AT_ONCE = 3

export const FAULT_KINDS = [
  'kill share',
  'kill access',
  'kill signaling',
  'stop share',
  'stop access',
  'stop signaling',
  'share asleep',
  'access asleep',
  'signaling asleep',
  'printer stalled',
  'printer off',
  'all links cut',
  'ports cut',
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

export interface Fault {
  readonly kind: FaultKind
  /** the name of a process or a printer; "links" */
  readonly target: string
  readonly from: number
  /** when it was mended; null while it lasts */
  until: number | null
}

interface Draft {
  readonly kind: FaultKind
  readonly target: string
  readonly weight: number
  /** Breaks it; resolves with how to mend it. */
  readonly begin: () => Promise<() => Promise<void>>
  /** ms it lasts */
  readonly least: number
  readonly most: number
}

export class Faults {
  readonly past: Fault[] = []
  readonly #world: World
  readonly #random: Random
  /** null: links cannot be cut here */
  readonly #cutter: Cutter | null
  /** Processes that are not restarted now, so that their memory can be told over a long time. */
  readonly #spared: () => ReadonlySet<string>

  constructor(world: World, random: Random, cutter: Cutter | null, spared: () => ReadonlySet<string>) {
    this.#world = world
    this.#random = random
    this.#cutter = cutter
    this.#spared = spared
  }

  /** Goes on until then, and resolves when everything is mended. Rejects when something cannot be. */
  async run(until: number): Promise<void> {
    const running = new Set<Promise<void>>()
    let failure: unknown = null
    while (Date.now() < until && failure === null) {
      await delay(this.#random.between(EVERY.least, EVERY.most))
      if (running.size >= AT_ONCE || Date.now() >= until) continue
      const draft = this.#draw()
      const lasting = this.#play(draft)
        .catch((error: unknown) => {
          failure = error
        })
        .finally(() => running.delete(lasting))
      running.add(lasting)
    }
    await Promise.all(running)
    if (failure !== null) throw failure
  }

  async #play({ kind, target, begin, least, most }: Draft): Promise<void> {
    const fault: Fault = { kind, target, from: Date.now(), until: null }
    this.past.push(fault)
    const lasts = this.#random.logBetween(least, most)
    const mend = await begin()
    await delay(lasts)
    await mend()
    fault.until = Date.now()
  }

  #draw(): Draft {
    const busy = new Set(this.past.filter(({ until }) => until === null).map(({ target }) => target))
    const drafts = this.#drafts().filter(({ target }) => !busy.has(target))
    let left = this.#random.between(
      0,
      drafts.reduce((sum, { weight }) => sum + weight, 0),
    )
    const drawn = drafts.find(({ weight }) => {
      left -= weight
      return left < 0
    })
    if (drawn === undefined) throw new Error('there is nothing left to break')
    return drawn
  }

  #drafts(): Draft[] {
    const { services, printers } = this.#world
    return [
      ...services.flatMap((service) => this.#onProcess(service)),
      ...printers.flatMap((printer) => onPrinter(printer)),
      ...(this.#cutter === null ? [] : this.#onLinks(this.#cutter)),
    ]
  }

  #onProcess(service: Service): Draft[] {
    const { role, name } = service
    const restart = (signal: 'SIGKILL' | 'SIGTERM') => async () => {
      await service.stop(signal)
      return () => service.start()
    }
    const restarts: Draft[] = [
      { kind: `kill ${role}`, target: name, weight: 2, begin: restart('SIGKILL'), least: 50, most: 4 * SECOND },
      { kind: `stop ${role}`, target: name, weight: 1, begin: restart('SIGTERM'), least: 50, most: 4 * SECOND },
    ]
    const sleep = async () => {
      service.signal('SIGSTOP')
      return async () => service.signal('SIGCONT')
    }
    const asleep: Draft = {
      ...{ kind: `${role} asleep`, target: name, weight: 1 },
      ...{ begin: sleep, least: SECOND, most: 25 * SECOND },
    }
    return this.#spared().has(name) ? [asleep] : [...restarts, asleep]
  }

  #onLinks(cutter: Cutter): Draft[] {
    const peers = this.#world.services.filter(({ role }) => role !== 'signaling')
    const all: Draft = {
      ...{ kind: 'all links cut', target: 'links', weight: 2 },
      ...{ begin: () => cutter.cutAll(), least: SECOND, most: 25 * SECOND },
    }
    const ports = peers.map((service): Draft => {
      const begin = async () => cutter.cutPorts(service.instance === null ? [] : await udpPorts(service.instance.pid))
      return { kind: 'ports cut', target: service.name, weight: 1, begin, least: SECOND, most: 25 * SECOND }
    })
    return [all, ...ports]
  }
}

function onPrinter(printer: Printer): Draft[] {
  const stall = async () => {
    printer.stall()
    return async () => printer.resume()
  }
  const off = async () => {
    await printer.off()
    return () => printer.on()
  }
  const which = { target: printer.name, weight: 0.5 }
  return [
    { kind: 'printer stalled', ...which, begin: stall, least: SECOND, most: 20 * SECOND },
    { kind: 'printer off', ...which, begin: off, least: SECOND, most: 8 * SECOND },
  ]
}
