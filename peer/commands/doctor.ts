/** doctor: what this host can reach, and what is in the way. */
import { type Command, Option } from 'commander'
import type { Log } from '../../shared/log.ts'
import { parseName } from '../../shared/names.ts'
import { formatNat, type NatReport, parseNat } from '../../shared/nat.ts'
import { safeStrings } from '../../shared/safe-text.ts'
import type { SignalingClient } from '../../shared/signaling-client.ts'
import { type Verdict, verdict } from '../../shared/verdict.ts'
import { Config } from '../config.ts'
import { checkAddresses, checkNat, checkStun, shownNat } from '../doctor/network.ts'
import {
  type Finding,
  failed,
  formatFinding,
  type Report,
  type ShownShare,
  statusOf,
  unwell,
  well,
} from '../doctor/report.ts'
import { checkName, checkShare, type Reached } from '../doctor/share.ts'
import type { EngineChoice } from '../engines/index.ts'
import { findNat, type NatFindings, reportOf } from '../nat.ts'
import { connectSignaling, startPeer, stopPeer, stunServer } from '../runtime.ts'
import { type CommandContext, engineOption } from './options.ts'

interface DoctorOptions {
  readonly with?: NatReport
  readonly engine: EngineChoice
  readonly json?: true
}

/** `ended` is told the exit status: doctor fails by what it finds, not by an error. */
export function registerDoctorCommand(
  program: Command,
  context: CommandContext,
  ended: (status: Report['status']) => void,
): void {
  program
    .command('doctor')
    .description('say what this host can reach, what NAT it is behind, and with whom it can meet')
    .argument('[name]', 'a share to try: this opens and closes one connection to its target')
    .addOption(
      new Option('--with <token>', 'what doctor printed on another host: can the two meet?').argParser(parseNat),
    )
    .addOption(engineOption())
    .option('--json', 'print the findings as JSON')
    .action(async (name: string | undefined, options: DoctorOptions) => {
      const doctor = new Doctor(new Config(), context.log({ quiet: true }), options)
      ended(await doctor.run(name === undefined ? null : parseName(name)))
    })
}

class Doctor {
  readonly #config: Config
  readonly #log: Log
  readonly #options: DoctorOptions
  readonly #checks: Finding[] = []
  #server: string | null = null
  #nat: NatFindings | null = null
  #meet: Verdict['meet'] | null = null
  #share: ShownShare | null = null

  constructor(config: Config, log: Log, options: DoctorOptions) {
    this.#config = config
    this.#log = log
    this.#options = options
  }

  /** Each check is made that those before it allow. Resolves with the exit status. */
  async run(name: string | null): Promise<Report['status']> {
    const signaling = await this.#reach()
    try {
      if (signaling !== null) await this.#lookAtNat(signaling)
      this.#compare()
      if (signaling !== null && name !== null) await this.#tryShare(signaling, name)
    } finally {
      await signaling?.close()
    }
    const status = statusOf(this.#checks)
    if (this.#options.json) process.stdout.write(`${JSON.stringify(safeStrings(this.#report(status)))}\n`)
    return status
  }

  readonly #found = (finding: Finding): void => {
    this.#checks.push(finding)
    if (!this.#options.json) process.stdout.write(formatFinding(finding))
  }

  async #reach(): Promise<SignalingClient | null> {
    try {
      const { url } = await this.#config.invite()
      this.#server = url
      this.#found(await checkAddresses(url))
      const signaling = await connectSignaling(this.#config, this.#log)
      this.#found(well('server', `${url} lets this environment in`))
      return signaling
    } catch (error) {
      this.#found(failed('server', error))
      return null
    }
  }

  async #lookAtNat(signaling: SignalingClient): Promise<void> {
    const stun = stunServer(signaling)
    try {
      this.#nat = stun && (await findNat(stun))
    } catch (error) {
      this.#found(failed('stun', error))
      return
    }
    this.#found(checkStun(stun, this.#nat))
    if (stun === null || this.#nat === null) return
    if (this.#nat.ipv4?.mapped || this.#nat.ipv6?.mapped) this.#found(checkNat(stun, this.#nat))
    if (!this.#options.json) process.stdout.write(`for another host: nearport doctor --with ${this.#token}\n`)
  }

  #compare(): void {
    const far = this.#options.with
    if (far === undefined) return
    const { meet, says, next } = verdict(this.#nat && reportOf(this.#nat), far)
    this.#meet = meet
    const unless = 'unless they are in one local network'
    this.#found(meet === 'yes' ? well('meet', says) : unwell('meet', meet === 'no' ? 2 : 1, `${says}, ${unless}`, next))
  }

  async #tryShare(signaling: SignalingClient, name: string): Promise<void> {
    try {
      const self = (await this.#config.identity()).publicKey
      const listed = (await signaling.list()).find((share) => share.name === name)
      this.#found(checkName(name, listed, self))
      const state = listed === undefined ? 'unknown' : listed.online ? 'online' : 'offline'
      const owner = listed?.owner ?? null
      const reached = state === 'online' ? await this.#reachShare(name) : null
      this.#share = { name, state, owner, own: owner === self, engine: null, path: null, target: null, ...reached }
    } catch (error) {
      this.#found(failed('name', error))
    }
  }

  async #reachShare(name: string): Promise<Reached | null> {
    try {
      const node = await startPeer(this.#config, { engine: this.#options.engine, grace: 0 }, this.#log)
      try {
        return await checkShare(node, name, this.#found)
      } finally {
        await stopPeer(node)
      }
    } catch (error) {
      this.#found(failed('link', error))
      return null
    }
  }

  get #token(): string | null {
    return this.#nat && formatNat(reportOf(this.#nat))
  }

  #report(status: Report['status']): Report {
    const [server, nat, meet, share] = [this.#server, this.#nat && shownNat(this.#nat), this.#meet, this.#share]
    return { status, server, checks: this.#checks, nat, token: this.#token, meet, share }
  }
}
