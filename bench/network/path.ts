/**
 * A long path between two hosts: two network namespaces, and a third between them where a forwarder delays, limits and
 * drops frames. Nothing in it can reach the network of this machine.
 */
import { type ChildProcessByStdio, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { owned, temporaryFolder, undoAtExit } from '../cleanup.ts'
import { Namespace, removeLeftovers } from './namespace.ts'
import { find, pathTo, run } from './system.ts'

/** Not compiled by tsc. */
const SOURCE = fileURLToPath(new URL('../../../bench/network/forwarder.c', import.meta.url))
export const NEAR_ADDRESS = '10.77.0.1'
export const FAR_ADDRESS = '10.77.0.2'
/** ms: the queue before a line is as long as its round trip, but not shorter than this */
const LEAST_QUEUE = 20

export interface Conditions {
  /** ms there and back */
  readonly roundTrip: number
  /** percent of the frames of each direction */
  readonly loss: number
  /** Mbit/s of each direction */
  readonly rate: number
}

/** Frames of both directions since the begin. */
export interface Counts {
  readonly passed: number
  readonly bytes: number
  readonly lost: number
  /** by the full queue */
  readonly dropped: number
  /** because the forwarder did not get to them in time: more than 0 means that it was too slow */
  readonly missed: number
}

/** Why there can be none here, or null. */
export function whyNoPath(): string | null {
  if (process.platform !== 'linux') return 'needs Linux'
  if (process.getuid?.() !== 0) return 'needs root'
  if (find('ip') === undefined) return 'needs ip: apt-get install iproute2'
  if (find('cc') === undefined) return 'needs a C compiler and headers: apt-get install gcc libc6-dev'
  return null
}

export class NetworkPath {
  readonly near: Namespace
  readonly far: Namespace
  readonly #middle: Namespace
  readonly #forwarder: Forwarder

  private constructor(near: Namespace, far: Namespace, middle: Namespace, forwarder: Forwarder) {
    this.near = near
    this.far = far
    this.#middle = middle
    this.#forwarder = forwarder
  }

  static async create(): Promise<NetworkPath> {
    await removeLeftovers()
    const program = join(temporaryFolder('forwarder'), 'forwarder')
    await promisify(execFile)(find('cc') ?? 'cc', ['-O2', '-Wall', '-o', program, SOURCE])
    const made: Namespace[] = []
    for (const name of ['near', 'middle', 'far']) made.push(await namespace(name))
    const [near, middle, far] = made as [Namespace, Namespace, Namespace]
    for (const [host, device, address] of [
      [near, 'to-near', NEAR_ADDRESS],
      [far, 'to-far', FAR_ADDRESS],
    ] as const) {
      // No IPv6: its neighbour discovery would be among the frames that are counted.
      for (const { launch } of [host, middle]) await shell(launch, 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6')
      await middle.ip(`link add ${device} type veth peer name eth0 netns ${host.name}`, `link set ${device} up`)
      await host.ip(`address add ${address}/24 dev eth0`, 'link set eth0 up')
      await inside(host, program, '--frames', 'eth0')
      await inside(middle, program, '--frames', device)
    }
    return new NetworkPath(near, far, middle, new Forwarder([...middle.launch, program, 'to-near', 'to-far']))
  }

  /** From now on; what is under way is lost. */
  async set({ roundTrip, loss, rate }: Conditions, seed: number): Promise<void> {
    const queue = Math.max(roundTrip, LEAST_QUEUE)
    const numbers = [roundTrip * 500, rate * 1e6, queue * 1000, Math.round(loss * 10_000), seed]
    const answer = await this.#forwarder.order(`set ${numbers.join(' ')}`)
    if (answer !== 'ok') throw new Error(`the forwarder: ${answer}`)
  }

  async counts(): Promise<Counts> {
    const [passed = 0, bytes = 0, lost = 0, dropped = 0, missed = 0] = (await this.#forwarder.order('stats'))
      .split(' ')
      .map(Number)
    return { passed, bytes, lost, dropped, missed }
  }

  /** Resolves once next to nothing is under way, or after 5 s. */
  async quiet(): Promise<void> {
    for (let i = 0; i < 25; i++) {
      const { bytes } = await this.counts()
      await delay(200)
      if ((await this.counts()).bytes - bytes < 10_000) return
    }
  }

  /** What the far host sends TCP with from now on. By route: the default is not a namespace's own to choose. */
  async congestionControl(name: string): Promise<void> {
    await this.far.ip(`route change 10.77.0.0/24 dev eth0 scope link src ${FAR_ADDRESS} congctl ${name}`)
  }

  async close(): Promise<void> {
    await this.#forwarder.close()
    for (const host of [this.near, this.far, this.#middle]) await host.remove()
  }
}

async function namespace(name: string): Promise<Namespace> {
  const made = await Namespace.create(`bench-${name}`)
  const kept = undoAtExit(() => execFileSync(pathTo('ip'), ['netns', 'del', made.name]))
  const remove = made.remove.bind(made)
  made.remove = () => {
    kept()
    return remove()
  }
  return made
}

const inside = ({ name }: Namespace, ...words: readonly string[]) => run('ip', ['netns', 'exec', name, ...words])

async function shell([program = '', ...words]: readonly string[], script: string): Promise<void> {
  await promisify(execFile)(program, [...words, 'sh', '-ec', script])
}

class Forwarder {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #waiting: ((line: string) => void)[] = []

  constructor([program = '', ...words]: readonly string[]) {
    this.#process = owned(spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] }))
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#waiting.shift()?.(line))
    this.#process.on('exit', () => {
      for (const tell of this.#waiting.splice(0)) tell('has ended')
    })
  }

  order(line: string): Promise<string> {
    return new Promise((resolve) => {
      if (this.#process.exitCode !== null) return resolve('has ended')
      this.#waiting.push(resolve)
      this.#process.stdin.write(`${line}\n`)
    })
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.stdin.end()
    await exited
  }
}
