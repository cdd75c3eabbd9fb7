/**
 * `npm run demo`: the whole of nearport on this machine, each part a process of its own: a signaling server, two
 * printers on the same port, a share peer beside them, and an access peer where the receipts come from.
 *
 *     npm run demo -- [--once] [--engine auto|werift|native] [--first-port 9901]
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { asNearportError } from '../../shared/errors.ts'
import { formatHostPort, type HostPort, parseHostPort } from '../../shared/hostport.ts'
import { engineOption, wholeNumber } from '../commands/options.ts'
import { Child, type ChildOptions } from './child.ts'

const NAMES = ['pc1', 'pc2'] as const
type Name = (typeof NAMES)[number]

const cli = fileURLToPath(new URL('../../bin/nearport.js', import.meta.url))
const printerProgram = fileURLToPath(new URL('printer.js', import.meta.url))

const say = (line = '') => process.stdout.write(`${line}\n`)

interface Options {
  readonly once?: true
  readonly engine: string
  readonly firstPort: number
}

class Demo {
  readonly #options: Options
  readonly #folder: string
  readonly #children: Child[] = []
  #stopping = false

  constructor(options: Options, folder: string) {
    this.#options = options
    this.#folder = folder
  }

  async run(stopped: Promise<void>): Promise<void> {
    say('nearport demo: two printers on the same port, each behind a local port of its own.\n')
    const link = await this.#startSignaling()
    const printers = await this.#startPrinters()
    await this.#startShare(link, printers)
    const { access, binds } = await this.#startAccess(link)
    for (const name of NAMES) await this.#print(name, printers[name], binds[name])
    const { engine, path } = await access.until('a direct path', linkReady)
    say(`The path taken: ${path ?? 'unknown'}, ${engine} engine. No byte of a receipt passed the server.`)
    if (this.#options.once) return

    say('\nSend more, from another terminal:')
    for (const name of NAMES) {
      const { host, port } = binds[name]
      say(`  printf 'Hello ${name}\\n' | nc -N ${host} ${port}`)
    }
    say('\nCtrl-C ends the demo.')
    await Promise.race([stopped, this.#anyEnd()])
  }

  /** Ends what was started, the newest first. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const child of this.#children.toReversed()) await child.stop()
  }

  async #startSignaling(): Promise<string> {
    const signaling = this.#nearport('signaling server', ['signal', '--listen', '127.0.0.1:0'])
    const link = await signaling.until('its link', ({ stdout }) =>
      stdout.map((line) => /^nearport enable (.+)$/.exec(line)?.[1]).find((found) => found !== undefined),
    )
    say(`signaling server  ${new URL(link).host}`)
    return link
  }

  async #startPrinters(): Promise<Record<Name, HostPort>> {
    const [first, second, note] = await printerAddresses()
    const printers = { pc1: await this.#startPrinter('pc1', first), pc2: await this.#startPrinter('pc2', second) }
    for (const name of NAMES) say(`printer ${name}       ${formatHostPort(printers[name])}`)
    if (note !== undefined) say(note)
    return printers
  }

  async #startPrinter(name: Name, address: HostPort): Promise<HostPort> {
    const args = [printerProgram, name, formatHostPort(address)]
    const child = this.#start(`printer ${name}`, args, {
      online: (line) => {
        if (!line.includes('listens on')) say(`  ${line}`)
      },
    })
    return child.until('its port', ({ stdout }) => {
      const bound = /listens on (.+)$/.exec(stdout[0] ?? '')?.[1]
      return bound === undefined ? undefined : parseHostPort(bound, 'internal')
    })
  }

  async #startShare(link: string, printers: Record<Name, HostPort>): Promise<void> {
    await this.#finish('share', ['enable', link])
    for (const name of NAMES) {
      const target = formatHostPort(printers[name])
      await this.#finish('share', ['reserve', 'private', '--backend-mode', 'tcpTunnel', target, '--unique-name', name])
    }
    const args = ['share', 'reserved', ...NAMES, '--engine', this.#options.engine]
    const share = this.#nearport('share peer', args, 'share')
    await share.until('both names shared', ({ stdout }) => (stdout.length >= NAMES.length ? true : undefined))
    say(`share peer        nearport ${args.join(' ')}`)
  }

  async #startAccess(link: string): Promise<{ access: Child; binds: Record<Name, HostPort> }> {
    await this.#finish('access', ['enable', link])
    const { firstPort, engine } = this.#options
    const last = Math.min(firstPort + 98, 65_535)
    const range = ['--auto', '--auto-start-port', String(firstPort), '--auto-end-port', String(last)]
    const args = ['access', 'private', ...NAMES, ...range, '--engine', engine]
    const access = this.#nearport('access peer', ['--log-json', ...args], 'access')
    const bound = (name: Name) =>
      access.until(`the port of ${name}`, ({ stdout }) => {
        const line = stdout.find((text) => text.startsWith(`${name} `))
        return line === undefined ? undefined : parseHostPort(line.slice(name.length + 1), 'internal')
      })
    const binds = { pc1: await bound('pc1'), pc2: await bound('pc2') }
    say(`access peer       nearport ${args.join(' ')}`)
    for (const name of NAMES) say(`                  ${formatHostPort(binds[name])} is ${name}`)
    return { access, binds }
  }

  async #print(name: Name, printer: HostPort, bind: HostPort): Promise<void> {
    say(`\nA receipt for ${name}, sent to ${formatHostPort(bind)}, arrives at ${formatHostPort(printer)}:`)
    const receipt = receiptFor(name)
    const answer = await exchange(bind, receipt)
    const printed = `job of ${receipt.length} bytes printed`
    const child = this.#children.find((child) => child.name === `printer ${name}`)
    await child?.until(`"${printed}"`, ({ stdout }) => stdout.find((line) => line.endsWith(printed)))
    if (answer !== `OK ${name} ${receipt.length} bytes\n`) {
      throw new Error(`the answer of printer ${name} was "${answer.trim()}"`)
    }
    say(`The printer answered: ${answer.trim()}`)
  }

  /** A nearport command that runs on. `role` names the configuration folder it uses. */
  #nearport(name: string, args: readonly string[], role = 'signaling'): Child {
    return this.#start(name, [cli, ...args], {
      // Of the user's own network nothing is wanted here.
      env: { NEARPORT_HOME: join(this.#folder, role), NEARPORT_LINK: undefined, NEARPORT_KEY: undefined },
    })
  }

  #start(name: string, args: readonly string[], options: ChildOptions): Child {
    if (this.#stopping) throw new Error('the demo is being stopped')
    const child = new Child(name, args, options)
    this.#children.push(child)
    return child
  }

  /** A nearport command that is over at once. */
  async #finish(role: string, args: readonly string[]): Promise<void> {
    const child = this.#nearport(`nearport ${args[0]}`, args, role)
    const { code } = await child.ended
    if (code !== 0) throw new Error(`nearport ${args[0]} failed: ${child.stderr.join(' ')}`)
    this.#children.splice(this.#children.indexOf(child), 1)
  }

  async #anyEnd(): Promise<void> {
    const ended = await Promise.race(this.#children.map((child) => child.ended.then(() => child)))
    if (this.#stopping) return
    throw new Error(`the ${ended.name} ended: ${ended.stderr.slice(-5).join(' ')}`)
  }
}

/** Two addresses with the same port, where the system has more than one loopback address. */
async function printerAddresses(): Promise<[HostPort, HostPort, note?: string]> {
  const [first, second] = ['127.0.0.2', '127.0.0.3']
  for (const wanted of [9100, 0]) {
    const port = await freePort(first, wanted)
    if (port !== null && (await freePort(second, port)) !== null) {
      return [
        { host: first, port },
        { host: second, port },
      ]
    }
  }
  const any = { host: '127.0.0.1', port: 0 }
  const note =
    '(This system has no 127.0.0.2 and 127.0.0.3, so the two printers have two ports. On macOS,\n' +
    ' `sudo ifconfig lo0 alias 127.0.0.2` and the same for 127.0.0.3 make them.)'
  return [any, any, note]
}

/** The port if it is free there (0: any free one), or null. */
async function freePort(host: string, port: number): Promise<number | null> {
  const server = createServer()
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch {
    return null
  }
  const address = server.address()
  server.close()
  await once(server, 'close')
  return address === null || typeof address === 'string' ? null : address.port
}

/** Sends a job, ends our direction, and returns all that the printer says. */
async function exchange({ host, port }: HostPort, job: string): Promise<string> {
  const socket = connect({ host, port, allowHalfOpen: true })
  socket.end(job)
  try {
    return await text(socket)
  } catch (error) {
    throw new Error(`the receipt did not reach the printer: ${asNearportError(error).message}`, { cause: error })
  }
}

/** What a till sends: bold and centred, then cut. */
function receiptFor(name: Name): string {
  const [reset, centre, left, bold, plain, cut] = [
    '\x1b@',
    '\x1ba\x01',
    '\x1ba\x00',
    '\x1bE\x01',
    '\x1bE\x00',
    '\x1dV\x00',
  ]
  return `${reset}${centre}${bold}NEARPORT${plain}\n${left}Receipt for ${name}\n1 direct tunnel   0.00\nThank you!\n${cut}`
}

/** The access peer's own word about the path, from its log. */
function linkReady({ stderr }: Child): { engine: string; path: string | null } | undefined {
  const line = stderr.find((text) => text.includes('"link ready"'))
  return line === undefined ? undefined : (JSON.parse(line) as { engine: string; path: string | null })
}

const options = new Command('npm run demo --')
  .description('two printers, a share peer and an access peer on this machine')
  .option('--once', 'end by itself once both receipts are printed')
  .addOption(engineOption())
  .option('--first-port <port>', 'first local port to try', wholeNumber(1, 65_535), 9901)
  .parse()
  .opts<Options>()

const stopped = new Promise<void>((resolve) => {
  process.once('SIGINT', () => resolve())
  process.once('SIGTERM', () => resolve())
})
const folder = await mkdtemp(join(tmpdir(), 'nearport-demo-'))
const demo = new Demo(options, folder)
try {
  await Promise.race([demo.run(stopped), stopped])
} catch (error) {
  process.stderr.write(`nearport demo: ${asNearportError(error).message}\n`)
  process.exitCode = 1
} finally {
  await demo.stop()
  await rm(folder, { recursive: true, force: true })
}
