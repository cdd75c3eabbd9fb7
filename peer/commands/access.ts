/** access: the side where the jobs start. */
import type { Command } from 'commander'
import { ACCESS_NAMES, Access } from '../../shared/access.ts'
import { NearportError } from '../../shared/errors.ts'
import { formatHostPort, type HostPort, parseHostPort } from '../../shared/hostport.ts'
import { type AutoRange, type Bind, Binds } from '../binds.ts'
import { capacity } from '../capacity.ts'
import { Config } from '../config.ts'
import type { EngineChoice } from '../engines/index.ts'
import { startPeer, stopPeer } from '../runtime.ts'
import { untilStopped } from '../stop.ts'
import {
  type CommandContext,
  connectionsOption,
  engineOption,
  graceOption,
  headlessOption,
  parseNames,
  wholeNumber,
} from './options.ts'

interface AccessOptions {
  readonly bind: readonly string[]
  readonly auto?: true
  readonly autoAddress: string
  readonly autoStartPort: number
  readonly autoEndPort: number
  readonly engine: EngineChoice
  readonly grace: number
  readonly connections: number
  readonly json?: true
}

export function registerAccessCommands(program: Command, context: CommandContext): void {
  const port = wholeNumber(1, 65_535)
  const access = program.command('access').description('open local ports for shares until Ctrl-C')
  access
    .command('private')
    .description('open a local port for each name')
    .argument('<names...>')
    .option('-b, --bind <bind>', 'HOST:PORT for one name, NAME=HOST:PORT for many; may be repeated', collect, [])
    .option('--auto', 'give each name without a --bind the next free port')
    .option('--auto-address <host>', 'address for --auto', '127.0.0.1')
    .option('--auto-start-port <port>', 'first port for --auto', port, 9901)
    .option('--auto-end-port <port>', 'last port for --auto', port, 9999)
    .addOption(engineOption())
    .addOption(graceOption())
    .addOption(connectionsOption())
    .addOption(headlessOption())
    .option('--json', 'print the ports as JSON')
    .action((names: string[], options: AccessOptions) => accessPrivate(names, options, context))
}

const collect = (text: string, earlier: readonly string[]): string[] => [...earlier, text]

async function accessPrivate(texts: readonly string[], options: AccessOptions, context: CommandContext): Promise<void> {
  const names = parseNames(texts)
  if (names.length > ACCESS_NAMES) {
    throw new NearportError(
      'too-many-shares',
      `one process accesses at most ${ACCESS_NAMES} names, not ${names.length}`,
    )
  }
  const binds = parseBinds(names, options.bind)
  const unbound = names.filter((name) => !binds.some((bind) => bind.name === name))
  if (unbound.length > 0 && !options.auto) {
    throw new NearportError('bind-invalid', `no --bind for ${unbound.join(', ')} (or use --auto)`)
  }
  const range = autoRange(options)
  const config = new Config()
  const log = context.log()
  const node = await startPeer(config, { engine: options.engine, grace: options.grace * 1000 }, log)
  const access = new Access(node, options.connections)
  const listeners = new Binds(access, log, capacity(names.length).streams)
  const serving = async () => {
    const bound = new Map<string, HostPort>()
    for (const bind of binds) bound.set(bind.name, await listeners.listen(bind))
    for (const [name, address] of await listeners.listenAuto(unbound, range)) bound.set(name, address)
    await Promise.all(names.map((name) => follow(access, name)))
    printPorts(bound, options.json === true)
    // Until Ctrl-C: losing the link or the server is a thing to mend, not to end on.
    return new Promise<never>(() => undefined)
  }
  try {
    await untilStopped(serving())
  } finally {
    listeners.close()
    await access.close(new NearportError('shutting-down', 'the access side was stopped'))
    await stopPeer(node)
  }
}

/** A name that is offline may come; one that nobody reserved or serves is most likely a mistake. */
async function follow(access: Access, name: string): Promise<void> {
  if ((await access.add(name)) === 'unknown') {
    throw new NearportError('name-unknown', `"${name}" is not reserved, and nobody shares it now`)
  }
}

function printPorts(bound: ReadonlyMap<string, HostPort>, json: boolean): void {
  const ports = [...bound].map(([name, address]) => ({ name, bind: formatHostPort(address) }))
  const text = json ? JSON.stringify({ binds: ports }) : ports.map(({ name, bind }) => `${name} ${bind}`).join('\n')
  process.stdout.write(`${text}\n`)
}

/** Throws `bind-invalid` for a bind that names no accessed share, or one twice. */
function parseBinds(names: readonly string[], texts: readonly string[]): Bind[] {
  const [only, ...others] = names
  const binds = texts.map((text) => {
    const equals = text.indexOf('=')
    if (equals < 0 && (only === undefined || others.length > 0)) {
      throw new NearportError('bind-invalid', `--bind ${text} must say which name it is for: NAME=HOST:PORT`)
    }
    const name = equals < 0 ? (only ?? '') : text.slice(0, equals)
    if (!names.includes(name))
      throw new NearportError('bind-invalid', `--bind ${text} is for a name that is not accessed`)
    return { name, address: parseHostPort(text.slice(equals + 1), 'bind-invalid', { port0: true }) }
  })
  const twice = binds.find(({ name }, index) => binds.findIndex((other) => other.name === name) !== index)
  if (twice) throw new NearportError('bind-invalid', `--bind is given twice for "${twice.name}"`)
  return binds
}

/** Throws `bind-invalid` for a range that is none. */
function autoRange({ autoAddress, autoStartPort, autoEndPort }: AccessOptions): AutoRange {
  if (autoStartPort > autoEndPort) {
    throw new NearportError(
      'bind-invalid',
      `--auto-start-port ${autoStartPort} is after --auto-end-port ${autoEndPort}`,
    )
  }
  const host = autoAddress.includes(':') && !autoAddress.startsWith('[') ? `[${autoAddress}]` : autoAddress
  return {
    host: parseHostPort(`${host}:${autoStartPort}`, 'bind-invalid').host,
    first: autoStartPort,
    last: autoEndPort,
  }
}
