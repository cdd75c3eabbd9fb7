/**
 * An environment in one file, by which it moves to another computer: its identity, its link, the targets of its
 * reservations and the owners that it knows, so that nothing changes for those who use its names.
 */
import { open, readFile, rm } from 'node:fs/promises'
import * as v from 'valibot'
import { fromBase64Url } from '../shared/bytes.ts'
import { Identity } from '../shared/crypto.ts'
import { asNearportError, NearportError } from '../shared/errors.ts'
import { parseHostPort } from '../shared/hostport.ts'
import { parseInvite } from '../shared/invite.ts'
import { NAME_PATTERN } from '../shared/names.ts'
import { parseJson, publicKey } from '../shared/schema.ts'
import { type Config, EnvironmentFile, IdentityFile, Reserved } from './config.ts'
import { Folder } from './folder.ts'
import { NETWORK_PATTERN, OwnerFiles } from './owner-files.ts'

const Name = v.pipe(v.string(), v.regex(NAME_PATTERN))

const MovingFile = v.strictObject({
  nearport: v.literal('environment'),
  version: v.literal(1),
  /** PKCS #8, base64url */
  privateKey: v.string(),
  /** null where it is not stored: NEARPORT_LINK */
  link: v.nullable(v.string()),
  shares: v.record(Name, Reserved),
  /** By network and name. */
  owners: v.record(v.pipe(v.string(), v.regex(NETWORK_PATTERN)), v.record(Name, publicKey)),
})

type Moving = v.InferOutput<typeof MovingFile>

/** Writes a new file that only this user can read. Returns the identity. Throws `config-failed`, also if the file exists. */
export async function exportEnvironment(config: Config, file: string): Promise<string> {
  const { publicKey } = await config.identity()
  const folder = new Folder(config.folder)
  const identity = await folder.read('identity.json', IdentityFile)
  if (identity === null) throw new NearportError('internal', 'the identity is gone')
  const owners: Record<string, Record<string, string>> = {}
  for (const [network, known] of await OwnerFiles.all(config.folder)) {
    owners[network] = Object.fromEntries(await known.entries())
  }
  const moving: Moving = {
    nearport: 'environment',
    version: 1,
    privateKey: identity.privateKey,
    link: (await folder.read('environment.json', EnvironmentFile))?.link ?? null,
    shares: Object.fromEntries(await config.shares()),
    owners,
  }
  await writeNew(file, `${JSON.stringify(moving, null, 2)}\n`)
  return publicKey
}

/**
 * Makes this environment the one in the file. Returns its identity. Throws `identity-exists` unless `replace`,
 * `config-invalid` for a file that is none, `config-failed`.
 */
export async function importEnvironment(config: Config, file: string, replace: boolean): Promise<string> {
  const { moving, self } = await readMoving(file)
  const folder = new Folder(config.folder)
  const before = await folder.read('identity.json', IdentityFile)
  if (before !== null && before.privateKey !== moving.privateKey && !replace) {
    throw new NearportError(
      'identity-exists',
      `${config.folder} has an identity already, and maybe names that belong to it`,
    )
  }
  for (const [network, known] of Object.entries(moving.owners)) {
    const owners = new OwnerFiles(folder, network)
    for (const [name, owner] of Object.entries(known)) await owners.replace(name, owner)
  }
  // The targets of another identity are of no use, and its names not ours.
  if (before?.privateKey !== moving.privateKey) await folder.remove('shares')
  for (const [name, share] of Object.entries(moving.shares)) await config.saveShare(name, share)
  if (moving.link !== null) await folder.write('environment.json', { version: 1, link: moving.link })
  // Last: whoever was interrupted is not told that there is an identity, and does it again.
  const identity = { version: 1, privateKey: moving.privateKey }
  if (replace) await folder.write('identity.json', identity)
  else await folder.createOnce('identity.json', identity)
  if ((await config.identity()).publicKey !== self) {
    throw new NearportError('identity-exists', `another process made an identity in ${config.folder} meanwhile`)
  }
  return self
}

async function readMoving(file: string): Promise<{ moving: Moving; self: string }> {
  const invalid = (what: string, cause?: unknown) =>
    new NearportError('config-invalid', `${file} ${what}: it is not what \`nearport identity export\` writes`, {
      cause,
      next: 'give the file that `nearport identity export` wrote, whole and unchanged',
    })
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new NearportError('config-failed', `${file}: ${asNearportError(error).message}`, { cause: error })
  }
  const moving = parseJson(MovingFile, text, invalid)
  try {
    if (moving.link !== null) parseInvite(moving.link)
    for (const { target } of Object.values(moving.shares)) parseHostPort(target, 'target-invalid')
    const secret = fromBase64Url(moving.privateKey)
    if (secret === null) throw new TypeError('not base64url')
    return { moving, self: (await Identity.import(secret)).publicKey }
  } catch (error) {
    // Not with its text: that may be a secret.
    throw invalid('has a bad link, target or key', error)
  }
}

async function writeNew(file: string, text: string): Promise<void> {
  try {
    // Neither a terminal nor any other file that exists.
    const made = await open(file, 'wx', 0o600)
    try {
      await made.writeFile(text)
      await made.sync()
    } catch (error) {
      await rm(file, { force: true })
      throw error
    } finally {
      await made.close()
    }
  } catch (error) {
    throw new NearportError('config-failed', `${file}: ${asNearportError(error).message}`, {
      cause: error,
      next: 'give a file that does not exist, in a folder with room',
    })
  }
}
