/** All that is there: a signaling server, two shares with their printers, two accesses; each a real process. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Child } from '../../peer/demo/child.ts'
import { LogBook } from './log-book.ts'
import { Printer } from './printer.ts'
import { Service } from './service.ts'

const CLI = fileURLToPath(new URL('../../bin/nearport.js', import.meta.url))
const SIDES = [1, 2]
const PRINTERS_PER_SHARE = 3
/** Below the range systems take ports from by themselves: a port stays free while its process is down. */
const FIRST_PORT = 20_000
const LAST_PORT = 32_000

/** Of the user's own network nothing is wanted here. */
const UNSET = Object.fromEntries(
  ['HOME', 'LINK', 'KEY', 'ENGINE', 'LISTEN', 'LOG_LEVEL', 'PUBLIC_URL'].map((name) => [`NEARPORT_${name}`, undefined]),
)

export class World {
  readonly log = new LogBook()
  readonly services: Service[] = []
  readonly printers: Printer[] = []
  /** the share process that serves a printer */
  readonly shareOf = new Map<string, Service>()
  /** of each access process: the local port of each printer */
  readonly binds = new Map<string, Map<string, number>>()
  readonly #folder: string
  readonly #key = randomBytes(32).toString('base64url')
  #nextPort = FIRST_PORT
  #signalingAt = ''

  constructor(folder: string) {
    this.#folder = folder
  }

  static async start(engines: readonly string[]): Promise<World> {
    const world = new World(await mkdtemp(join(tmpdir(), 'nearport-soak-')))
    const engineOf = (side: number) => engines[(side - 1) % engines.length] ?? 'auto'
    try {
      await world.#startSignaling()
      for (const side of SIDES) await world.#startShare(`share-${side}`, side, engineOf(side))
      for (const side of SIDES) await world.#startAccess(`access-${side}`, engineOf(side))
      return world
    } catch (error) {
      await world.stop()
      throw error
    }
  }

  of(role: Service['role']): Service[] {
    return this.services.filter((service) => service.role === role)
  }

  async stop(): Promise<void> {
    await Promise.all(this.services.toReversed().map((service) => service.end()))
    await Promise.all(this.printers.map((printer) => printer.off()))
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #startSignaling(): Promise<void> {
    this.#signalingAt = `127.0.0.1:${await this.#port()}`
    await this.#start('signaling', 'signaling', ['signal', '--listen', this.#signalingAt], null)
  }

  async #startShare(name: string, side: number, engine: string): Promise<void> {
    await this.#enable(name)
    const names: string[] = []
    for (let number = 1; number <= PRINTERS_PER_SHARE; number++) {
      const printer = new Printer(`printer-${side}${number}`, await this.#port())
      await printer.on()
      this.printers.push(printer)
      names.push(printer.name)
      // The first of each takes one job at a time, as most real ones do.
      const bound = number === 1 ? ['--max-connections', '1'] : []
      await this.#run(name, ['reserve', 'private', `127.0.0.1:${printer.port}`, '-n', printer.name, ...bound])
    }
    const share = await this.#start(name, 'share', ['share', 'reserved', ...names], engine)
    for (const printer of names) this.shareOf.set(printer, share)
  }

  async #startAccess(name: string, engine: string): Promise<void> {
    await this.#enable(name)
    const bound = new Map<string, number>()
    for (const printer of this.printers) bound.set(printer.name, await this.#port())
    this.binds.set(name, bound)
    const options = [...bound].flatMap(([printer, port]) => ['--bind', `${printer}=127.0.0.1:${port}`])
    await this.#start(name, 'access', ['access', 'private', ...bound.keys(), ...options], engine)
  }

  async #start(name: string, role: Service['role'], args: readonly string[], engine: string | null): Promise<Service> {
    const lines = { signaling: 1, share: PRINTERS_PER_SHARE, access: this.printers.length }[role]
    const service = new Service({
      name,
      role,
      engine,
      args: [CLI, '--log-json', ...args, ...(engine === null ? [] : ['--engine', engine])],
      env: this.#env(name),
      ready: ({ stdout }) => stdout.length >= lines,
      online: (line) => this.log.add(name, line),
    })
    this.services.push(service)
    await service.start()
    return service
  }

  #enable(home: string): Promise<void> {
    return this.#run(home, ['enable', `http://${this.#signalingAt}/#${this.#key}`])
  }

  /** A command that is over at once. */
  async #run(home: string, args: readonly string[]): Promise<void> {
    const child = new Child(`nearport ${args[0]}`, [CLI, ...args], { env: this.#env(home) })
    const { code } = await child.ended
    if (code !== 0) throw new Error(`nearport ${args.join(' ')} failed: ${child.stderr.join(' ')}`)
  }

  #env(home: string): NodeJS.ProcessEnv {
    const key = home === 'signaling' ? { NEARPORT_KEY: this.#key } : {}
    return { ...UNSET, NEARPORT_HOME: join(this.#folder, home), ...key }
  }

  /** The next port that is free. */
  async #port(): Promise<number> {
    while (this.#nextPort < LAST_PORT) {
      const port = this.#nextPort++
      if (await isFree(port)) return port
    }
    throw new Error(`no port from ${FIRST_PORT} to ${LAST_PORT} is free`)
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch {
    return false
  }
  server.close()
  await once(server, 'close')
  return true
}
