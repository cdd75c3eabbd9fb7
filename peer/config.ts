/** The configuration folder of an environment: who it is, its network, and the targets of its reservations. */
import { join } from 'node:path'
import envPaths from 'env-paths'
import * as v from 'valibot'
import { keepPrivate } from '../host/private-folder.ts'
import { fromBase64Url, toBase64Url } from '../shared/bytes.ts'
import { Identity } from '../shared/crypto.ts'
import { asNearportError, NearportError } from '../shared/errors.ts'
import { formatInvite, type Invite, parseInvite } from '../shared/invite.ts'
import type { Log } from '../shared/log.ts'
import { NAME_PATTERN } from '../shared/names.ts'
import { Folder } from './folder.ts'

export const EnvironmentFile = v.strictObject({ version: v.literal(1), link: v.string() })
export const IdentityFile = v.strictObject({ version: v.literal(1), privateKey: v.string() })
const wholeFrom = (least: number) => v.pipe(v.number(), v.safeInteger(), v.minValue(least))
const ShareEntries = {
  target: v.string(),
  maxConnections: v.nullable(wholeFrom(1)),
  /** Absent, too, in files from before there was such a thing. */
  healthInterval: v.optional(wholeFrom(0)),
  idleTimeout: v.optional(wholeFrom(1)),
}
const ShareFile = v.strictObject({ version: v.literal(1), ...ShareEntries })
/** A {@link ReservedShare}. */
export const Reserved = v.strictObject(ShareEntries)

export interface ReservedShare {
  /** HOST:PORT, as given */
  readonly target: string
  /** TCP connections to the target at once; null: no bound */
  readonly maxConnections: number | null
  /** seconds between looks at whether the target accepts connections, 0 for never; absent: LIMITS.healthInterval */
  readonly healthInterval?: number | undefined
  /** seconds that a connection may be idle while others wait; absent: for ever */
  readonly idleTimeout?: number | undefined
}

/** What nearport has in the folder: files and their drafts, and folders. A server keeps its data below as well. */
const OURS = /^(?:(?:environment|identity)\.json(?:\..+)?|shares|running|owners|signaling)$/

/** NEARPORT_HOME, else the platform's own folder for configuration. */
export function configFolder(env: NodeJS.ProcessEnv = process.env): string {
  return env.NEARPORT_HOME || envPaths('nearport', { suffix: '' }).config
}

export class Config {
  readonly folder: string
  readonly #files: Folder
  readonly #env: NodeJS.ProcessEnv

  constructor(folder: string = configFolder(), env: NodeJS.ProcessEnv = process.env) {
    this.folder = folder
    this.#files = new Folder(folder)
    this.#env = env
  }

  /** See {@link keepPrivate}. Throws `folder-unsafe`, `config-failed`. */
  async keepPrivate(log: Log): Promise<void> {
    try {
      await keepPrivate({ path: this.folder, ours: OURS, log })
    } catch (error) {
      if (error instanceof NearportError) throw error
      throw new NearportError('config-failed', `${this.folder}: ${asNearportError(error).message}`, { cause: error })
    }
  }

  /** The link this environment is enabled with: NEARPORT_LINK, else what `enable` stored. Throws `not-enabled`. */
  async invite(): Promise<Invite> {
    const invite = await this.#inviteOrNull()
    if (invite === null) throw new NearportError('not-enabled', 'this environment is not enabled')
    return invite
  }

  /** Throws `already-enabled`, also for the same link: nothing is overwritten. */
  async enable(invite: Invite): Promise<void> {
    if ((await this.#files.read('environment.json', EnvironmentFile)) !== null) {
      throw new NearportError('already-enabled', `${this.folder} is enabled already`)
    }
    await this.identity()
    await this.#files.write('environment.json', { version: 1, link: formatInvite(invite) })
  }

  /** Forgets the link and the targets; the identity stays, as it owns the reservations. False if there was no link. */
  async disable(): Promise<boolean> {
    const enabled = (await this.#files.read('environment.json', EnvironmentFile)) !== null
    await this.#files.remove('environment.json')
    await this.#files.remove('shares')
    return enabled
  }

  /** The identity of this environment, made at first use. */
  async identity(): Promise<Identity> {
    const stored = await this.#files.read('identity.json', IdentityFile)
    if (stored === null) {
      const { secret } = await Identity.generate()
      await this.#files.createOnce('identity.json', { version: 1, privateKey: toBase64Url(secret) })
      return this.identity()
    }
    const secret = fromBase64Url(stored.privateKey)
    try {
      if (secret === null) throw new TypeError('not base64url')
      return await Identity.import(secret)
    } catch (error) {
      throw new NearportError('config-invalid', `${this.#files.pathOf('identity.json')} holds no Ed25519 key`, {
        cause: error,
      })
    }
  }

  async share(name: string): Promise<ReservedShare> {
    const share = await this.#files.read(join('shares', `${name}.json`), ShareFile)
    if (share === null) throw new NearportError('not-reserved-here', `"${name}" is not reserved in this environment`)
    const { version: _, ...reserved } = share
    return reserved
  }

  async shares(): Promise<Map<string, ReservedShare>> {
    const names = await this.#files.list('shares')
    const known = names.filter((name) => NAME_PATTERN.test(name)).sort()
    return new Map(await Promise.all(known.map(async (name) => [name, await this.share(name)] as const)))
  }

  async saveShare(name: string, share: ReservedShare): Promise<void> {
    await this.#files.write(join('shares', `${name}.json`), { version: 1, ...share })
  }

  async removeShare(name: string): Promise<void> {
    await this.#files.remove(join('shares', `${name}.json`))
  }

  async #inviteOrNull(): Promise<Invite | null> {
    if (this.#env.NEARPORT_LINK) return parseInvite(this.#env.NEARPORT_LINK)
    const stored = await this.#files.read('environment.json', EnvironmentFile)
    if (stored === null) return null
    try {
      return parseInvite(stored.link)
    } catch (error) {
      throw new NearportError('config-invalid', `${this.#files.pathOf('environment.json')} holds no valid link`, {
        cause: error,
      })
    }
  }
}
