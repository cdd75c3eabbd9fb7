/** What runs on the hosts of a lab: nearport itself, and the printers and tills at its ends. */
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from '@jest/globals'
import { Config } from '../../peer/config.ts'
import { Child } from '../../peer/demo/child.ts'
import type { Report } from '../../peer/doctor/report.ts'
import { shortIdentity } from '../../shared/crypto.ts'
import { formatHostPort } from '../../shared/hostport.ts'
import { type Access, type EngineName, Network, type Peer } from '../support/tunnel.ts'
import type { Host } from './lab.ts'

const TCP_END = fileURLToPath(new URL('tcp-end.mjs', import.meta.url))
const SIGNALING_PORT = 7070

/** What happened on a connection, as tcp-end.mjs tells it. */
export interface TcpEvent {
  readonly event: 'listening' | 'connected' | 'mark' | 'received' | 'sent' | 'reset'
  /** from 1; 0 for the program itself */
  readonly connection: number
  readonly bytes?: number
  readonly sha256?: string
  /** The beginning of what came. */
  readonly text?: string
  /** Of the error that a connection was reset with. */
  readonly code?: string
  readonly port?: number
  /** ms since the program began */
  readonly ms: number
}

export interface TcpEndOptions {
  /** Bytes to send; without it a printer answers with the hash of the job, and a till sends nothing. */
  readonly send?: number
  /** Bytes received after which it says so. */
  readonly mark?: number
  /** Bytes received after which it stops reading, until {@link TcpEnd.release}. */
  readonly hold?: number
}

/** A printer or a till on a host. */
export class TcpEnd {
  readonly #child: Child

  private constructor(host: Host, mode: 'listen' | 'dial', address: string, options: TcpEndOptions) {
    const end = [process.execPath, TCP_END, mode, address, JSON.stringify(options)]
    const [program = '', ...words] = [...host.launch, ...end]
    this.#child = new Child(mode === 'listen' ? 'printer' : 'till', words, { program })
  }

  /** A printer on a free port of an address of its host. */
  static async printer(host: Host, options: TcpEndOptions = {}, at = '127.0.0.1'): Promise<Printer> {
    const printer = new TcpEnd(host, 'listen', `${at}:0`, options)
    const { port } = await printer.told('listening')
    return Object.assign(printer, { address: `${at}:${port}` })
  }

  /** A till that dials HOST:PORT at once. */
  static till(host: Host, address: string, options: TcpEndOptions = {}): TcpEnd {
    return new TcpEnd(host, 'dial', address, options)
  }

  get events(): TcpEvent[] {
    return this.#child.stdout.map((line) => JSON.parse(line) as TcpEvent)
  }

  /** Resolves with the first of these events; with `fits`, the first that fits. */
  told(event: TcpEvent['event'], fits: (event: TcpEvent) => boolean = () => true, seconds = 30): Promise<TcpEvent> {
    const look = () => this.events.find((told) => told.event === event && fits(told))
    return this.#child.until(`"${event}"`, look, seconds * 1000)
  }

  /** How the job of a till ended: with all that was received, or with a reset. */
  ended(seconds = 30): Promise<TcpEvent> {
    const look = () => this.events.find(({ event }) => event === 'received' || event === 'reset')
    return this.#child.until('the end of its connection', look, seconds * 1000)
  }

  /** Reads on. */
  release(): void {
    this.#child.process.kill('SIGUSR2')
  }

  async stop(): Promise<void> {
    await this.#child.stop()
  }
}

/** A share, and the printer it is of. */
export interface Shared {
  readonly share: Peer
  readonly printer: Printer
}

export interface Printer extends TcpEnd {
  /** HOST:PORT */
  readonly address: string
}

/** An access, and what the logs of shares call its environment. */
export interface KnownAccess extends Access {
  readonly owner: string
}

export interface ServerOptions {
  /** What the link calls the server, instead of by its address. */
  readonly name?: string
  /** A second address of its host, with which its STUN tells NATs in full. */
  readonly secondAddress?: string
}

/** A network of nearport in a lab. Its peers are processes on the hosts, and need no `enable`. */
export class Tunnels {
  readonly network: Network
  /** Where the signaling server runs. */
  readonly server: Host
  readonly #ends: TcpEnd[] = []
  readonly #shares = new Map<string, Peer>()
  #homes = 0

  private constructor(network: Network, server: Host) {
    this.network = network
    this.server = server
  }

  /** Starts the signaling server on a host. */
  static async start(server: Host, { name, secondAddress }: ServerOptions = {}): Promise<Tunnels> {
    const folder = await mkdtemp(join(tmpdir(), 'nearport-lab-'))
    const { address, launch } = server
    const publicUrl = name === undefined ? undefined : `http://${name}:${SIGNALING_PORT}/`
    const network = new Network(folder, {
      launch,
      listen: formatHostPort({ host: address, port: SIGNALING_PORT }),
      ...(secondAddress === undefined ? {} : { signal: ['--stun-alternate-address', secondAddress] }),
      env: (link) => ({ NEARPORT_PUBLIC_URL: publicUrl, NEARPORT_LINK: link === '' ? undefined : link }),
    })
    const tunnels = new Tunnels(network, server)
    try {
      await network.startSignaling()
      return tunnels
    } catch (error) {
      await tunnels.close()
      throw error
    }
  }

  /** A printer on a host, and a share of it. */
  async share(host: Host, engine: EngineName, name: string, options?: TcpEndOptions): Promise<Shared> {
    const printer = await TcpEnd.printer(host, options)
    this.#ends.push(printer)
    const home = this.#newHome('share')
    const share = await this.network.share(
      { [name]: printer.address },
      { home, launch: host.launch, engine, ephemeral: true },
    )
    this.#shares.set(name, share)
    return { share, printer }
  }

  /** The share that serves a name. */
  shareOf(name: string): Peer {
    const share = this.#shares.get(name)
    if (share === undefined) throw new Error(`nobody shares ${name}`)
    return share
  }

  async access(host: Host, engine: EngineName, names: readonly string[]): Promise<KnownAccess> {
    const home = this.#newHome('access')
    const access = await this.network.access(names, { home, launch: host.launch, engine })
    const { publicKey } = await new Config(this.network.home(home), {}).identity()
    return Object.assign(access, { owner: shortIdentity(publicKey) })
  }

  /** What `nearport doctor` finds on a host, and that its exit status says the same. */
  async doctor(host: Host, ...args: readonly string[]): Promise<Report> {
    const run = await this.network.run(this.#newHome('doctor'), ['doctor', '--json', ...args], { launch: host.launch })
    if (run.stdout === '') throw new Error(`doctor ended with ${run.code}: ${run.stderr}`)
    const report = JSON.parse(run.stdout) as Report
    expect(run.code).toBe(report.status)
    return report
  }

  /** A till that dials the bind of a name at once, from the host of the access. */
  till(host: Host, access: Access, name: string, options: TcpEndOptions): TcpEnd {
    const till = TcpEnd.till(host, `127.0.0.1:${access.ports[name]}`, options)
    this.#ends.push(till)
    return till
  }

  async close(): Promise<void> {
    for (const end of this.#ends.splice(0)) await end.stop()
    await this.network.stop()
  }

  #newHome(role: string): string {
    return `${role}-${++this.#homes}`
  }
}
