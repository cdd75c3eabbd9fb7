/** hypertele on a DHT of our own on 127.0.0.1; for each target a server and a client. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Child } from '../../peer/demo/child.ts'
import { owned } from '../cleanup.ts'
import { bulk } from '../tcp/load.ts'
import type { Contender } from './contender.ts'
import { pidOf } from './nearport.ts'

/** Beside bench/package.json: what is compiled runs from dist/. */
const PACKAGES = fileURLToPath(new URL('../../../bench/node_modules/', import.meta.url))
const SERVER = `${PACKAGES}hypertele/server.js`
const CLIENT = `${PACKAGES}hypertele/client.js`
/** Not compiled: it imports from those packages. */
const TESTNET = fileURLToPath(new URL('../../../bench/contenders/testnet.mjs', import.meta.url))

export const hypertele: Contender = {
  name: 'hypertele',
  kind: 'tcp',
  comparedTo: ['raw TCP'],
  mostTargets: 4,
  absent: async () => (existsSync(CLIENT) ? null : 'not installed: npm ci --prefix bench'),
  start: async (targets) => {
    const network = await Hypertele.start()
    try {
      const servers = await Promise.all(targets.map((target) => network.serve(target)))
      const clients = await Promise.all(servers.map(({ key }) => network.dial(key)))
      const ports = clients.map(({ port }) => port)
      return {
        ports,
        near: clients.map(({ child }) => pidOf(child)),
        far: servers.map(({ child }) => pidOf(child)),
        bulk: (load) => bulk(ports, load),
        close: () => network.close(),
      }
    } catch (error) {
      await network.close()
      throw error
    }
  },
}

export class Hypertele {
  readonly #children: Child[] = []
  #bootstrap = 0

  static async start(): Promise<Hypertele> {
    const network = new Hypertele()
    const dht = network.#spawn('dht', TESTNET, [])
    network.#bootstrap = Number(await dht.until('its port', ({ stdout }) => stdout[0]))
    return network
  }

  /** Returns the key that clients know it by. */
  async serve(target: number): Promise<{ child: Child; key: string }> {
    const seed = randomBytes(32).toString('hex')
    const args = ['-l', String(target), '--seed', seed, ...this.#network]
    const child = this.#spawn('hypertele-server', SERVER, args)
    const key = await child.until('its key', ({ stdout }) => /^hypertele: (\w+)/.exec(stdout[0] ?? '')?.[1])
    return { child, key }
  }

  async dial(key: string): Promise<{ child: Child; port: number }> {
    const child = this.client(key, 0)
    const ready = /^Server ready @127\.0\.0\.1:(\d+)/
    const port = await child.until('its port', ({ stdout }) => ready.exec(stdout[0] ?? '')?.[1])
    return { child, port: Number(port) }
  }

  /** A client that has just been started; with port 0 it takes a free one. */
  client(key: string, port: number): Child {
    return this.#spawn('hypertele', CLIENT, ['-p', String(port), '-s', key, ...this.#network])
  }

  async close(): Promise<void> {
    for (const child of this.#children.splice(0).toReversed()) await child.stop()
  }

  get #network(): string[] {
    return ['--bootstrap', String(this.#bootstrap)]
  }

  #spawn(name: string, file: string, args: readonly string[]): Child {
    const child = new Child(name, [file, ...args])
    owned(child.process)
    this.#children.push(child)
    return child
  }
}
