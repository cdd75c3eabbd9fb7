/** `nearport signal`. */
import { readFile, stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { type Command, Option } from 'commander'
import envPaths from 'env-paths'
import type { Bytes } from '../shared/crypto.ts'
import { asNearportError, NearportError } from '../shared/errors.ts'
import { parseHostPort } from '../shared/hostport.ts'
import { parseNetworkKey } from '../shared/invite.ts'
import type { Log } from '../shared/log.ts'
import type { SignalingOptions, SignalingServer } from './server.ts'
import { type AddressRange, parseRange } from './source.ts'

interface Flags {
  readonly listen: string
  readonly data?: string
  readonly publicUrl?: string
  readonly stunPort?: string
  readonly stunAlternatePort?: string
  readonly stunAlternateAddress?: string
  readonly trustedProxy?: readonly AddressRange[]
  readonly tlsCert?: string
  readonly tlsKey?: string
}

/** Bits of a mode: what those may do who are neither the owner nor of the group. */
const EVERYBODY = 0o007

/** Beside the compiled program. */
const WEB_DIR = fileURLToPath(new URL('../web/', import.meta.url))

/** Adds `nearport signal`; its action ends on SIGTERM or SIGINT, and throws NearportErrors. */
export function registerSignalCommand(program: Command, makeLog: () => Log): void {
  program
    .command('signal')
    .description('run the signaling server of a network; its first start prints the link for `nearport enable`')
    .addOption(
      new Option('--listen <host:port>', 'address to listen at').default('0.0.0.0:7070').env('NEARPORT_LISTEN'),
    )
    .option('--data <dir>', 'folder for the names (default: in NEARPORT_HOME, or the data folder of this user)')
    .addOption(
      new Option('--public-url <url>', 'what the link names, behind a proxy or a NAT').env('NEARPORT_PUBLIC_URL'),
    )
    .option('--stun-port <n>', 'UDP port that answers STUN, or "off" (default: the port listened at)')
    .option(
      '--stun-alternate-port <n>',
      'second UDP port for STUN, by which peers learn what their NAT does, or "off" (default: the one after it)',
    )
    .option('--stun-alternate-address <ip>', 'second address of this host for STUN, to learn it in full')
    .option(
      '--trusted-proxy <cidr>',
      'a proxy before this server, whose X-Forwarded-For says which host a request comes from; may be repeated',
      (text: string, before: readonly AddressRange[] = []) => [...before, parseRange(text)],
    )
    .option('--tls-cert <file>', 'certificate chain, PEM')
    .option('--tls-key <file>', 'private key, PEM')
    .addHelpText('after', '\nThe network key may be given in the environment variable NEARPORT_KEY.')
    .action(async (flags: Flags) => {
      const log = makeLog()
      const options = await signalingOptions(flags, process.env, log)
      const { startSignaling } = await import('./server.ts')
      const server = await startSignaling(options)
      // Before anything is printed: whoever reads the line may stop the server at once.
      const stopped = stopSignal()
      announce(server, options.dataDir, log)
      log.info({ signal: await stopped }, 'the signaling server stops')
      await server.close()
    })
}

/** Throws `usage`, `listen-failed`, `tls-invalid`, `link-invalid`. */
export async function signalingOptions(flags: Flags, env: NodeJS.ProcessEnv, log: Log): Promise<SignalingOptions> {
  return {
    ...parseHostPort(flags.listen, 'listen-failed', { port0: true }),
    dataDir: flags.data ?? defaultDataDir(env),
    networkKey: networkKey(env),
    publicUrl: flags.publicUrl === undefined ? undefined : parsePublicUrl(flags.publicUrl),
    stunPort: parseStunPort('--stun-port', flags.stunPort),
    stunAlternatePort: parseStunPort('--stun-alternate-port', flags.stunAlternatePort),
    stunAlternateAddress: parseAlternateAddress(flags),
    trustedProxies: flags.trustedProxy,
    webDir: WEB_DIR,
    tls: await readTls(flags, log),
    log,
  }
}

function announce(server: SignalingServer, dataDir: string, log: Log): void {
  const { invite, url, port, stunPort, stunAlternatePort, firstStart } = server
  log.info({ url, port, stunPort, stunAlternatePort, dataDir, firstStart }, 'the signaling server runs')
  if (invite !== null) {
    process.stdout.write(`nearport enable ${invite}\n`)
    return
  }
  const next = 'it stands in the configuration of every enabled environment; NEARPORT_KEY=KEY nearport signal prints it'
  log.info({ next }, 'the link was printed at the first start, and this server keeps only a verifier of its key')
}

function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    // once: a second signal ends a process that does not stop.
    process.once('SIGTERM', resolve)
    process.once('SIGINT', resolve)
  })
}

function defaultDataDir(env: NodeJS.ProcessEnv): string {
  const home = env.NEARPORT_HOME
  return join(home === undefined || home === '' ? envPaths('nearport', { suffix: '' }).data : home, 'signaling')
}

function networkKey(env: NodeJS.ProcessEnv): Bytes | undefined {
  const text = env.NEARPORT_KEY
  if (text === undefined || text === '') return undefined
  try {
    return parseNetworkKey(text)
  } catch (error) {
    const { code, message } = asNearportError(error)
    throw new NearportError(code, `NEARPORT_KEY: ${message}`, { cause: error })
  }
}

function parsePublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  const plain = url?.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (url === null || !plain || !['http:', 'https:'].includes(url.protocol)) {
    throw new NearportError('usage', '--public-url must be http(s)://HOST[:PORT][/PATH], and nothing more')
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url.href
}

function parseStunPort(option: string, text: string | undefined): number | null | undefined {
  if (text === undefined) return undefined
  if (text === 'off') return null
  if (!/^(?:0|[1-9]\d{0,4})$/.test(text) || Number(text) > 65_535) {
    throw new NearportError('usage', `${option} must be a port from 0 to 65535, or "off", not "${text}"`)
  }
  return Number(text)
}

/** Throws `usage`. */
function parseAlternateAddress(flags: Flags): string | undefined {
  const { listen, stunPort, stunAlternatePort, stunAlternateAddress: second } = flags
  if (second === undefined) return undefined
  const { host: first } = parseHostPort(listen, 'listen-failed', { port0: true })
  // A socket on all addresses would answer from whichever it likes, and the second one could not be bound beside it.
  const single = isIP(first) !== 0 && first !== '0.0.0.0' && first !== '::'
  if (!single || isIP(second) !== isIP(first) || second === first) {
    throw new NearportError(
      'usage',
      `--stun-alternate-address must be a second IP address of the family of --listen, which must name the first one`,
    )
  }
  if (stunPort === 'off' || stunAlternatePort === 'off') {
    throw new NearportError('usage', '--stun-alternate-address needs both ports of STUN')
  }
  return second
}

async function readTls({ tlsCert, tlsKey }: Flags, log: Log): Promise<{ cert: Buffer; key: Buffer } | undefined> {
  if (tlsCert === undefined && tlsKey === undefined) return undefined
  if (tlsCert === undefined || tlsKey === undefined) {
    throw new NearportError('tls-invalid', 'one of --tls-cert and --tls-key is missing')
  }
  try {
    const tls = { cert: await readFile(tlsCert), key: await readFile(tlsKey) }
    createSecureContext(tls)
    if (process.platform !== 'win32' && ((await stat(tlsKey)).mode & EVERYBODY) !== 0) {
      log.warn({ file: tlsKey, next: `chmod o= ${tlsKey}` }, 'every user of this host can read the TLS key')
    }
    return tls
  } catch (error) {
    const reason = asNearportError(error).message
    throw new NearportError('tls-invalid', `cannot use ${tlsCert} with ${tlsKey}: ${reason}`, { cause: error })
  }
}
