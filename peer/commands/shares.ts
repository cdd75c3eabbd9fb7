/** reserve, release, share: the side of the printers. */
import type { Command } from 'commander'
import { customAlphabet } from 'nanoid'
import { deferred } from '../../shared/deferred.ts'
import { NearportError } from '../../shared/errors.ts'
import { parseHostPort } from '../../shared/hostport.ts'
import { LIMITS } from '../../shared/limits.ts'
import type { Log } from '../../shared/log.ts'
import { parseName } from '../../shared/names.ts'
import { Regulars } from '../../shared/regulars.ts'
import { Share } from '../../shared/share.ts'
import { capacity } from '../capacity.ts'
import { Config, type ReservedShare } from '../config.ts'
import type { EngineChoice } from '../engines/index.ts'
import { startPeer, stopPeer, withSignaling } from '../runtime.ts'
import { untilStopped } from '../stop.ts'
import { Target } from '../target.ts'
import {
  backendModeOption,
  type CommandContext,
  engineOption,
  graceOption,
  headlessOption,
  healthIntervalOption,
  idleTimeoutOption,
  maxConnectionsOption,
  parseNames,
} from './options.ts'

interface ShareOptions {
  readonly uniqueName?: string
  readonly maxConnections?: number
  /** seconds */
  readonly healthInterval?: number
  /** seconds */
  readonly idleTimeout?: number
  readonly engine: EngineChoice
  readonly grace: number
  readonly json?: true
}

/** 12 of 36 characters: 62 bits, so that two names made at random never meet. */
const randomName = customAlphabet('abcdefghijklmnopqrstuvwxyz0123456789', 12)

export function registerShareCommands(program: Command, context: CommandContext): void {
  const reserve = program.command('reserve').description('reserve a name on the network')
  reserve
    .command('private')
    .description('reserve a name for a target of this environment')
    .argument('<target>', 'HOST:PORT, for example 192.168.1.185:9100')
    .option('-n, --unique-name <name>', 'the name; without it one is made')
    .addOption(backendModeOption())
    .addOption(maxConnectionsOption())
    .addOption(idleTimeoutOption())
    .addOption(healthIntervalOption())
    .action((target: string, options: ShareOptions) => reservePrivate(target, options, context))

  program
    .command('release')
    .description('give a reserved name back')
    .argument('<name>')
    .action((name: string) => release(name, context))

  const share = program.command('share').description('serve names until Ctrl-C')
  share
    .command('reserved')
    .description('serve reserved names of this environment, any number in one process')
    .argument('<names...>')
    .addOption(maxConnectionsOption())
    .addOption(idleTimeoutOption())
    .addOption(healthIntervalOption())
    .addOption(engineOption())
    .addOption(graceOption())
    .addOption(headlessOption())
    .option('--json', 'print what is served as JSON')
    .action((names: string[], options: ShareOptions) => shareReserved(names, options, context))
  share
    .command('private')
    .description('serve a target under an ephemeral name, gone when the process ends')
    .argument('<target>', 'HOST:PORT, for example 192.168.1.185:9100')
    .option('-n, --unique-name <name>', 'the name; without it one is made')
    .addOption(backendModeOption())
    .addOption(maxConnectionsOption())
    .addOption(idleTimeoutOption())
    .addOption(healthIntervalOption())
    .addOption(engineOption())
    .addOption(graceOption())
    .addOption(headlessOption())
    .option('--json', 'print what is served as JSON')
    .action((target: string, options: ShareOptions) => sharePrivate(target, options, context))
}

async function reservePrivate(target: string, options: ShareOptions, { log }: CommandContext): Promise<void> {
  parseHostPort(target, 'target-invalid')
  const name = parseName(options.uniqueName ?? randomName())
  const config = new Config()
  const isNew = !(await config.shares()).has(name)
  await withSignaling(config, log({ quiet: true }), async (signaling) => {
    await signaling.reserve(name)
    try {
      const { maxConnections = null, healthInterval, idleTimeout } = options
      await config.saveShare(name, { target, maxConnections, healthInterval, idleTimeout })
    } catch (error) {
      // A name whose target is stored nowhere would be of no use to anyone.
      if (isNew) await signaling.release(name)
      throw error
    }
  })
  process.stdout.write(`reserved ${name} for ${target}\n`)
}

async function release(text: string, { log }: CommandContext): Promise<void> {
  const name = parseName(text)
  const config = new Config()
  const isStored = (await config.shares()).has(name)
  try {
    await withSignaling(config, log({ quiet: true }), (signaling) => signaling.release(name))
  } catch (error) {
    // A server that lost its data must not leave a target here for ever.
    if (!(isStored && error instanceof NearportError && error.code === 'name-unknown')) throw error
  }
  await config.removeShare(name)
  process.stdout.write(`released ${name}\n`)
}

async function shareReserved(texts: readonly string[], options: ShareOptions, context: CommandContext): Promise<void> {
  const config = new Config()
  await config.invite()
  const shares = new Map<string, ReservedShare>()
  for (const name of parseNames(texts)) shares.set(name, await config.share(name))
  await serve(config, shares, false, options, context)
}

async function sharePrivate(target: string, options: ShareOptions, context: CommandContext): Promise<void> {
  parseHostPort(target, 'target-invalid')
  const name = parseName(options.uniqueName ?? randomName())
  await serve(new Config(), new Map([[name, { target, maxConnections: null }]]), true, options, context)
}

async function serve(
  config: Config,
  shares: ReadonlyMap<string, ReservedShare>,
  ephemeral: boolean,
  options: ShareOptions,
  { log: makeLog }: CommandContext,
): Promise<void> {
  const log = makeLog()
  const node = await startPeer(config, { engine: options.engine, grace: options.grace * 1000 }, log)
  const regulars = new Regulars()
  const share = new Share(node, { capacity: capacity(), regulars })
  const left = new Set(shares.keys())
  const targets = new Map<string, Target>()
  const allDisplaced = deferred<never>()
  share.ondisplaced = (name, { code, message, next }) => {
    log.error({ name, code, reason: message, next }, 'share ended')
    left.delete(name)
    targets.get(name)?.stop()
    if (left.size === 0) allDisplaced.reject(new NearportError(code, message))
  }
  const serving = async () => {
    // All at once, as each takes a round trip; they are answered in order.
    const claims = [...shares].map(async ([name, reserved]) => {
      const made = makeTarget(name, reserved, options, regulars, log)
      targets.set(name, made)
      await share.serve(name, ephemeral, made)
      made.start()
      const { target } = reserved
      process.stdout.write(options.json ? `${JSON.stringify({ name, target })}\n` : `sharing ${name}: ${target}\n`)
    })
    await Promise.all(claims)
    return allDisplaced.promise
  }
  try {
    await untilStopped(serving())
  } finally {
    for (const target of targets.values()) target.stop()
    await share.close(new NearportError('shutting-down', 'the share side was stopped'))
    await stopPeer(node)
  }
}

/** What an option says holds before what was reserved. */
function makeTarget(
  name: string,
  reserved: ReservedShare,
  options: ShareOptions,
  regulars: Regulars,
  log: Log,
): Target {
  const seconds = options.healthInterval ?? reserved.healthInterval
  return new Target({
    name,
    address: parseHostPort(reserved.target, 'target-invalid'),
    maxConnections: options.maxConnections ?? reserved.maxConnections,
    idleTimeout: (options.idleTimeout ?? reserved.idleTimeout ?? 0) * 1000,
    regulars,
    interval: seconds === undefined ? LIMITS.healthInterval : seconds * 1000,
    log,
  })
}
