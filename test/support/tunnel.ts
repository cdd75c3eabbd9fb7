/** nearport as its users run it: real processes of dist/bin/nearport.js, over loopback, each in a temporary folder. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from '@jest/globals'
import { Child, type Exit } from '../../peer/demo/child.ts'
import { parseHostPort } from '../../shared/hostport.ts'

export const CLI = fileURLToPath(new URL('../../dist/bin/nearport.js', import.meta.url))

export type EngineName = 'werift' | 'native'

/** The words before a program that make it run elsewhere, such as "ip netns exec NAME". */
export type Launch = readonly string[]

/** Every environment variable that nearport reads: a test begins without those of whoever runs it. */
const UNSET = Object.fromEntries(
  ['HOME', 'LINK', 'KEY', 'ENGINE', 'LISTEN', 'LOG_LEVEL', 'PUBLIC_URL'].map((name) => [`NEARPORT_${name}`, undefined]),
)

export interface Result extends Exit {
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string
  readonly env?: NodeJS.ProcessEnv | undefined
  readonly name?: string
  readonly launch?: Launch
}

/** One line of a log, as --log-json writes it. */
export interface LogLine {
  readonly level: number
  /** ms since 1970 */
  readonly time: number
  readonly msg: string
  readonly name?: string
  readonly code?: string
  readonly reason?: string
  readonly [field: string]: unknown
}

export interface PeerOptions {
  /** the configuration folder; default: "share" or "access" */
  readonly home?: string
  readonly launch?: Launch
  readonly engine?: EngineName
  /** seconds */
  readonly grace?: number
  /** of access only: further ones */
  readonly flags?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
}

export interface ShareOptions extends PeerOptions {
  readonly maxConnections?: number
  /** seconds; default: off, so that a target counts no connection but those of the test */
  readonly healthInterval?: number
  /** `share private` of one name instead of `share reserved` */
  readonly ephemeral?: boolean
}

/** A share or access process, with its log. */
export class Peer {
  readonly child: Child

  constructor(child: Child) {
    this.child = child
  }

  get pid(): number {
    return this.child.process.pid ?? 0
  }

  get log(): LogLine[] {
    return this.child.stderr.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LogLine)
  }

  /** Resolves with the first line that fits, of those after the first `after`. */
  logged(what: string, fits: (line: LogLine) => boolean, after = 0, seconds?: number): Promise<LogLine> {
    const deadline = seconds === undefined ? undefined : seconds * 1000
    return this.child.until(`the log line "${what}"`, () => this.log.slice(after).find(fits), deadline)
  }

  /** Resolves with the next "connection reset" of a name, of the lines after the first `after`. */
  resetLogged(name: string, after = 0): Promise<LogLine> {
    return this.logged('connection reset', (line) => line.msg === 'connection reset' && line.name === name, after)
  }

  stop(signal?: NodeJS.Signals): Promise<Exit> {
    return this.child.stop(signal)
  }
}

export interface Access extends Peer {
  readonly ports: Readonly<Record<string, number>>
}

function engineAndGrace({ engine, grace }: PeerOptions): string[] {
  return [
    ...(engine === undefined ? [] : ['--engine', engine]),
    ...(grace === undefined ? [] : ['--grace', String(grace)]),
  ]
}

export interface NetworkOptions {
  /** of the server */
  readonly launch?: Launch
  /** HOST:PORT where the server listens; default: a free port of loopback. */
  readonly listen?: string
  /** added to the words that start the server */
  readonly signal?: readonly string[]
  /** added to the environment of every process, once there is a link; default: nothing */
  readonly env?: (link: string) => NodeJS.ProcessEnv
  /** The program that a configuration folder ("signal", "share", "access", …) is used with; default: {@link CLI} */
  readonly build?: (home: string) => string
}

export class Network {
  readonly folder: string
  /** URL#KEY */
  link = ''
  readonly #options: NetworkOptions
  readonly #children: Child[] = []
  #signaling: Peer | null = null

  constructor(folder: string, options: NetworkOptions = {}) {
    this.folder = folder
    this.#options = options
  }

  get key(): string {
    return this.link.slice(this.link.indexOf('#') + 1)
  }

  get url(): string {
    return this.link.slice(0, this.link.indexOf('#'))
  }

  get signaling(): Peer {
    if (this.#signaling === null) throw new Error('the signaling server was not started')
    return this.#signaling
  }

  /** A configuration folder. "share" and "access" are enabled. */
  home(name: string): string {
    return join(this.folder, name)
  }

  /** A process that runs on, ended by {@link stop}. */
  start(home: string, args: readonly string[], options: RunOptions = {}): Child {
    const { name = args[0] ?? 'nearport', env, input, launch = [] } = options
    const cli = this.#options.build?.(home) ?? CLI
    if (!existsSync(cli)) throw new Error(`${cli} is missing: run "npm run build" first`)
    const [program = '', ...words] = [...launch, process.execPath, cli, ...args]
    const child = new Child(name, words, {
      program,
      env: { ...UNSET, NEARPORT_HOME: this.home(home), ...this.#options.env?.(this.link), ...env },
      ...(input === undefined ? {} : { input }),
    })
    this.#children.push(child)
    return child
  }

  /** A command that is over at once. */
  async run(home: string, args: readonly string[], options?: RunOptions): Promise<Result> {
    const child = this.start(home, args, options)
    const exit = await child.ended
    return { ...exit, stdout: child.stdout.join('\n'), stderr: child.stderr.join('\n') }
  }

  /** {@link run} that must succeed; returns its standard output. */
  async succeed(home: string, args: readonly string[], options?: RunOptions): Promise<string> {
    const { code, stdout, stderr } = await this.run(home, args, options)
    if (code !== 0) throw new Error(`nearport ${args.join(' ')} ended with ${code}: ${stderr}`)
    return stdout
  }

  /** Starts the server, or starts it again at the same address with the same data. */
  async startSignaling(): Promise<Peer> {
    const {
      listen = this.link === '' ? '127.0.0.1:0' : new URL(this.url).host,
      launch = [],
      signal = [],
    } = this.#options
    const args = ['--log-json', 'signal', '--listen', listen, '--stun-alternate-port', '0', ...signal]
    const child = this.start('signal', args, { launch })
    const peer = new Peer(child)
    await peer.logged('the signaling server runs', ({ msg }) => msg === 'the signaling server runs')
    if (this.link === '') {
      this.link = await child.until('its link', ({ stdout }) => stdout[0]?.replace(/^nearport enable /, ''))
    }
    this.#signaling = peer
    return peer
  }

  /** Reserves what is not reserved yet, and serves it. `targets`: HOST:PORT by name. */
  async share(targets: Readonly<Record<string, string>>, options: ShareOptions = {}): Promise<Peer> {
    const { home = 'share', launch = [], maxConnections, healthInterval, ephemeral = false, env } = options
    const names = Object.keys(targets)
    const flags = [
      ...engineAndGrace(options),
      ...(maxConnections === undefined ? [] : ['--max-connections', String(maxConnections)]),
      ...['--health-interval', healthInterval === undefined ? 'off' : String(healthInterval)],
    ]
    const [[name = '', target = ''] = []] = Object.entries(targets)
    if (!ephemeral) {
      for (const [name, target] of Object.entries(targets)) {
        await this.succeed(home, ['reserve', 'private', target, '--unique-name', name], { launch })
      }
    }
    const what = ephemeral ? ['private', target, '--unique-name', name] : ['reserved', ...names]
    const child = this.start(home, ['--log-json', 'share', ...what, ...flags], { launch, env })
    await child.until('its names shared', ({ stdout }) => (stdout.length >= names.length ? true : undefined))
    return new Peer(child)
  }

  /** Access to names on ports that are free, once a link is up. */
  async access(names: readonly string[], options: PeerOptions = {}): Promise<Access> {
    const { home = 'access', launch = [], env } = options
    const binds = names.flatMap((name) => ['--bind', `${name}=127.0.0.1:0`])
    const flags = [...engineAndGrace(options), ...(options.flags ?? [])]
    const args = ['--log-json', 'access', 'private', ...names, ...binds, ...flags, '--json']
    const child = this.start(home, args, { launch, env })
    const printed = await child.until('its ports', ({ stdout }) => stdout[0])
    const { binds: bound } = JSON.parse(printed) as { binds: { name: string; bind: string }[] }
    const ports = Object.fromEntries(bound.map(({ name, bind }) => [name, parseHostPort(bind, 'internal').port]))
    return Object.assign(new Peer(child), { ports })
  }

  /** All that every process has said so far. */
  logs(): string {
    return this.#children.flatMap(({ stdout, stderr }) => [...stdout, ...stderr]).join('\n')
  }

  /** Ends every process, the newest first, and removes the folders. */
  async stop(): Promise<void> {
    for (const child of this.#children.toReversed()) await child.stop()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** A signaling server and two enabled environments, "share" and "access". */
export async function startNetwork(options: NetworkOptions = {}): Promise<Network> {
  const network = new Network(await mkdtemp(join(tmpdir(), 'nearport-test-')), options)
  try {
    await network.startSignaling()
    for (const home of ['share', 'access']) await network.succeed(home, ['enable', network.link])
    return network
  } catch (error) {
    await network.stop()
    throw error
  }
}

/** Why the optional engine does not load here, or null. A CI that lacks it fails instead of testing less. */
async function whyNoNative(): Promise<string | null> {
  try {
    await import('node-datachannel')
    return null
  } catch (error) {
    if (process.env.CI) throw error
    return `node-datachannel does not load here: ${error instanceof Error ? error.message : String(error)}`
  }
}

const noNative = await whyNoNative()

/** Rows for describe.each; a test that is skipped says what they lack. */
export const ENGINES: readonly EngineName[] = noNative === null ? ['werift', 'native'] : ['werift']
export const PAIRINGS = ENGINES.flatMap((share) => ENGINES.map((access) => ({ share, access })))
if (noNative !== null) test.skip(`with the native engine: ${noNative}`, () => undefined)
