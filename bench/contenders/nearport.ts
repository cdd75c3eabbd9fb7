/** nearport: a signaling server, shares and accesses, each a process of this build. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Config } from '../../peer/config.ts'
import { Child } from '../../peer/demo/child.ts'
import { loadEngine } from '../../peer/engines/index.ts'
import { makeLog } from '../../peer/log.ts'
import { withSignaling } from '../../peer/runtime.ts'
import { NearportError } from '../../shared/errors.ts'
import { parseHostPort } from '../../shared/hostport.ts'
import { owned, temporaryFolder } from '../cleanup.ts'
import { bulk } from '../tcp/load.ts'
import type { Contender } from './contender.ts'

const CLI = fileURLToPath(new URL('../../bin/nearport.js', import.meta.url))

export type EngineName = 'native' | 'werift'

/** ms. Fifty that are started at once on a small machine take a while. */
const START_DEADLINE = 120_000

/** Of the user's own network nothing is wanted here. */
const UNSET = Object.fromEntries(
  ['HOME', 'LINK', 'KEY', 'ENGINE', 'LISTEN', 'LOG_LEVEL', 'PUBLIC_URL'].map((name) => [`NEARPORT_${name}`, undefined]),
)

export interface PeerOptions {
  readonly engine: EngineName
  /** The configuration folder; default: "share" or "access". */
  readonly home?: string
  /** The words before the program that make it run elsewhere, such as "ip netns exec NAME". */
  readonly launch?: readonly string[]
  /** See --connections. */
  readonly connections?: number
}

export interface ServerOptions {
  readonly launch?: readonly string[]
  /** default: 127.0.0.1 */
  readonly host?: string
}

export class Nearport {
  readonly #folder: string
  readonly #children: Child[] = []
  #link = ''

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async start({ launch = [], host = '127.0.0.1' }: ServerOptions = {}): Promise<Nearport> {
    const nearport = new Nearport(temporaryFolder('nearport'))
    const server = nearport.spawn('signal', ['signal', '--listen', `${host}:0`, '--stun-alternate-port', '0'], launch)
    try {
      nearport.#link = await server.until('its link', ({ stdout }) => stdout[0]?.replace(/^nearport enable /, ''))
      return nearport
    } catch (error) {
      await nearport.close()
      throw error
    }
  }

  /** What the processes of a configuration folder have in their environment. */
  env(home: string): NodeJS.ProcessEnv {
    const link = this.#link === '' ? {} : { NEARPORT_LINK: this.#link }
    return { ...UNSET, NEARPORT_HOME: join(this.#folder, home), NEARPORT_LOG_LEVEL: 'warn', ...link }
  }

  config(home: string): Config {
    return new Config(join(this.#folder, home), this.env(home))
  }

  /** A nearport process. */
  spawn(home: string, args: readonly string[], launch: readonly string[] = []): Child {
    const [program = '', ...words] = [...launch, process.execPath, CLI, ...args]
    const child = new Child(`nearport ${args[0]}`, words, { program, env: this.env(home) })
    owned(child.process)
    this.#children.push(child)
    return child
  }

  /** Serves HOST:PORT by name, all in one process; resolves once it does. */
  async share(targets: ReadonlyMap<string, string>, options: PeerOptions): Promise<Child> {
    const { engine, home = 'share', launch } = options
    if (launch === undefined) await this.#reserve(targets, home)
    // Only from there is the server reached.
    else for (const [name, target] of targets) await this.#reserveBy(name, target, { home, launch })
    const child = this.spawn(home, ['share', 'reserved', ...targets.keys(), '--engine', engine], launch)
    await child.until('its names shared', ({ stdout }) => (stdout.length >= targets.size ? true : undefined))
    return child
  }

  async #reserveBy(name: string, target: string, { home = '', launch }: Omit<PeerOptions, 'engine'>): Promise<void> {
    const child = this.spawn(home, ['reserve', 'private', target, '--unique-name', name], launch)
    await child.until('its name reserved', ({ exit }) => (exit?.code === 0 ? true : undefined))
  }

  async #reserve(targets: ReadonlyMap<string, string>, home: string): Promise<void> {
    const config = this.config(home)
    // Not a command for each: that would take half a second a name.
    await withSignaling(config, makeLog({ level: 'warn', json: false }), async (signaling) => {
      for (const [name, target] of targets) {
        await signaling.reserve(name)
        await config.saveShare(name, { target, maxConnections: null })
      }
    })
  }

  /** Opens a port for each name; resolves once it says which. */
  async access(names: readonly string[], options: PeerOptions): Promise<{ child: Child; ports: number[] }> {
    const { engine, home = 'access', launch, connections = 1 } = options
    const binds = names.flatMap((name) => ['--bind', `${name}=127.0.0.1:0`])
    const words = ['--engine', engine, '--connections', String(connections), '--json']
    const child = this.spawn(home, ['access', 'private', ...names, ...binds, ...words], launch)
    const printed = await child.until('its ports', ({ stdout }) => stdout[0], START_DEADLINE)
    const { binds: bound } = JSON.parse(printed) as { binds: { bind: string }[] }
    return { child, ports: bound.map(({ bind }) => parseHostPort(bind, 'internal').port) }
  }

  async close(): Promise<void> {
    // The newest first: a share that loses its server has things to say.
    for (const child of this.#children.splice(0).toReversed()) await child.stop()
  }
}

/** Why an engine cannot be had here, or null. */
export async function engineAbsent(name: EngineName): Promise<string | null> {
  try {
    await (await loadEngine(name, makeLog({ level: 'warn', json: false }))).close()
    return null
  } catch (error) {
    if (error instanceof NearportError && error.code === 'engine-missing') return error.message
    throw error
  }
}

export const pidOf = (child: Child): number => child.process.pid ?? 0

export const namesFor = (targets: readonly number[]): Map<string, string> =>
  new Map(targets.map((port, index) => [`pc${index + 1}`, `127.0.0.1:${port}`]))

export const nearport = (engine: EngineName): Contender => ({
  name: `nearport ${engine}`,
  kind: 'tcp',
  comparedTo: [
    `bare ${engine}`,
    engine === 'native' ? 'plain native' : 'naive werift',
    'ssh -L',
    'hypertele',
    'two Node relays',
    'raw TCP',
    'TCP cubic',
    'TCP bbr',
  ],
  absent: () => engineAbsent(engine),
  start: async (targets) => {
    const nearport = await Nearport.start()
    try {
      const names = namesFor(targets)
      const far = await nearport.share(names, { engine })
      const { child: near, ports } = await nearport.access([...names.keys()], { engine })
      return {
        ports,
        near: [pidOf(near)],
        far: [pidOf(far)],
        bulk: (load) => bulk(ports, load),
        close: () => nearport.close(),
      }
    } catch (error) {
      await nearport.close()
      throw error
    }
  },
})
