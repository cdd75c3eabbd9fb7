/**
 * The configuration folder of an environment: who it is, its network, and the targets of its reservations. Every
 * file is written whole or not at all, and only this user can read it.
 */
import { link, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import envPaths from 'env-paths'
import { nanoid } from 'nanoid'
import * as v from 'valibot'
import writeFileAtomic from 'write-file-atomic'
import { fromBase64Url, toBase64Url } from '../shared/bytes.ts'
import { Identity } from '../shared/crypto.ts'
import { asNearportError, NearportError } from '../shared/errors.ts'
import { formatInvite, type Invite, parseInvite } from '../shared/invite.ts'
import { NAME_PATTERN } from '../shared/names.ts'

const EnvironmentFile = v.strictObject({ version: v.literal(1), link: v.string() })
const IdentityFile = v.strictObject({ version: v.literal(1), privateKey: v.string() })
const wholeFrom = (least: number) => v.pipe(v.number(), v.safeInteger(), v.minValue(least))
const ShareFile = v.strictObject({
  version: v.literal(1),
  target: v.string(),
  maxConnections: v.nullable(wholeFrom(1)),
  /** Absent, too, in files from before there was such a thing. */
  healthInterval: v.optional(wholeFrom(0)),
})

export interface ReservedShare {
  /** HOST:PORT, as given */
  readonly target: string
  /** TCP connections to the target at once; null: no bound */
  readonly maxConnections: number | null
  /** seconds between looks at whether the target accepts connections, 0 for never; absent: LIMITS.healthInterval */
  readonly healthInterval?: number | undefined
}

/** NEARPORT_HOME, else the platform's own folder for configuration. */
export function configFolder(env: NodeJS.ProcessEnv = process.env): string {
  return env.NEARPORT_HOME || envPaths('nearport', { suffix: '' }).config
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException | null)?.code === 'ENOENT'

export class Config {
  readonly folder: string
  readonly #env: NodeJS.ProcessEnv

  constructor(folder: string = configFolder(), env: NodeJS.ProcessEnv = process.env) {
    this.folder = folder
    this.#env = env
  }

  /** The link this environment is enabled with: NEARPORT_LINK, else what `enable` stored. Throws `not-enabled`. */
  async invite(): Promise<Invite> {
    const invite = await this.#inviteOrNull()
    if (invite === null) throw new NearportError('not-enabled', 'this environment is not enabled')
    return invite
  }

  /** Throws `already-enabled`, also for the same link: nothing is overwritten. */
  async enable(invite: Invite): Promise<void> {
    if ((await this.#read('environment.json', EnvironmentFile)) !== null) {
      throw new NearportError('already-enabled', `${this.folder} is enabled already`)
    }
    await this.identity()
    await this.#write('environment.json', { version: 1, link: formatInvite(invite) })
  }

  /** Forgets the link and the targets; the identity stays, as it owns the reservations. False if there was no link. */
  async disable(): Promise<boolean> {
    const enabled = (await this.#read('environment.json', EnvironmentFile)) !== null
    await this.#remove('environment.json')
    await this.#remove('shares')
    return enabled
  }

  /** The identity of this environment, made at first use. */
  async identity(): Promise<Identity> {
    const stored = await this.#read('identity.json', IdentityFile)
    if (stored === null) {
      const { secret } = await Identity.generate()
      await this.#createOnce('identity.json', { version: 1, privateKey: toBase64Url(secret) })
      return this.identity()
    }
    const secret = fromBase64Url(stored.privateKey)
    try {
      if (secret === null) throw new TypeError('not base64url')
      return await Identity.import(secret)
    } catch (error) {
      throw new NearportError('config-invalid', `${this.#path('identity.json')} holds no Ed25519 key`, { cause: error })
    }
  }

  async share(name: string): Promise<ReservedShare> {
    const share = await this.#read(join('shares', `${name}.json`), ShareFile)
    if (share === null) throw new NearportError('not-reserved-here', `"${name}" is not reserved in this environment`)
    const { version: _, ...reserved } = share
    return reserved
  }

  async shares(): Promise<Map<string, ReservedShare>> {
    let files: string[]
    try {
      files = await readdir(this.#path('shares'))
    } catch (error) {
      if (isMissing(error)) return new Map()
      throw this.#failed('shares', error)
    }
    const names = files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length))
    const known = names.filter((name) => NAME_PATTERN.test(name)).sort()
    return new Map(await Promise.all(known.map(async (name) => [name, await this.share(name)] as const)))
  }

  async saveShare(name: string, share: ReservedShare): Promise<void> {
    await this.#write(join('shares', `${name}.json`), { version: 1, ...share })
  }

  async removeShare(name: string): Promise<void> {
    await this.#remove(join('shares', `${name}.json`))
  }

  async #inviteOrNull(): Promise<Invite | null> {
    if (this.#env.NEARPORT_LINK) return parseInvite(this.#env.NEARPORT_LINK)
    const stored = await this.#read('environment.json', EnvironmentFile)
    if (stored === null) return null
    try {
      return parseInvite(stored.link)
    } catch (error) {
      throw new NearportError('config-invalid', `${this.#path('environment.json')} holds no valid link`, {
        cause: error,
      })
    }
  }

  #path(file: string): string {
    return join(this.folder, file)
  }

  #failed(file: string, error: unknown): NearportError {
    return new NearportError('config-failed', `${this.#path(file)}: ${asNearportError(error).message}`, {
      cause: error,
    })
  }

  /** The parsed file, or null if there is none. Its content never enters an error: it may be a key. */
  async #read<S extends v.GenericSchema>(file: string, schema: S): Promise<v.InferOutput<S> | null> {
    let text: string
    try {
      text = await readFile(this.#path(file), 'utf8')
    } catch (error) {
      if (isMissing(error)) return null
      throw this.#failed(file, error)
    }
    try {
      return v.parse(schema, JSON.parse(text))
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof v.ValiError)) throw error
      throw new NearportError('config-invalid', `${this.#path(file)} is not what nearport writes there`)
    }
  }

  async #write(file: string, value: object): Promise<void> {
    try {
      await mkdir(join(this.#path(file), '..'), { recursive: true, mode: 0o700 })
      await writeFileAtomic(this.#path(file), `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 })
    } catch (error) {
      throw this.#failed(file, error)
    }
  }

  /** Writes a file that is never replaced: of two processes that make it at once, one does, and both use that one. */
  async #createOnce(file: string, value: object): Promise<void> {
    const draft = `${file}.${process.pid}.${nanoid()}`
    await this.#write(draft, value)
    try {
      await link(this.#path(draft), this.#path(file))
    } catch (error) {
      if ((error as NodeJS.ErrnoException | null)?.code !== 'EEXIST') throw this.#failed(file, error)
    } finally {
      await this.#remove(draft)
    }
  }

  async #remove(file: string): Promise<void> {
    try {
      await rm(this.#path(file), { recursive: true, force: true })
    } catch (error) {
      throw this.#failed(file, error)
    }
  }
}
