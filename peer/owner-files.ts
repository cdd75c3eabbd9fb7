/**
 * The owners of names that this environment knows, a file for each name of each network: processes that meet owners at
 * the same time lose nothing, and a file that is spoiled costs one name. See docs/adr/0009-owners-are-remembered.md.
 */
import { join } from 'node:path'
import * as v from 'valibot'
import type { Bytes } from '../shared/crypto.ts'
import { NearportError } from '../shared/errors.ts'
import { networkName, type OwnerStore } from '../shared/known-owners.ts'
import { NAME_PATTERN } from '../shared/names.ts'
import { publicKey } from '../shared/schema.ts'
import { Folder } from './folder.ts'

/** `owner`: an identity, that is an Ed25519 public key. */
const OwnerFile = v.strictObject({ version: v.literal(1), owner: publicKey })

/** What {@link networkName} gives. */
export const NETWORK_PATTERN = /^[0-9a-hjkmnp-tv-z]{52}$/

/** In the configuration folder. */
const OWNERS_FOLDER = 'owners'

export class OwnerFiles implements OwnerStore {
  readonly #files: Folder
  readonly #network: string

  constructor(files: Folder, network: string) {
    this.#files = files
    this.#network = network
  }

  /** Those of a network in a configuration folder. A network is its key, wherever its server is. */
  static async of(folder: string, networkKey: Bytes): Promise<OwnerFiles> {
    return new OwnerFiles(new Folder(folder), await networkName(networkKey))
  }

  /** Those of every network of a configuration folder, by what they call it. */
  static async all(folder: string): Promise<Map<string, OwnerFiles>> {
    const files = new Folder(folder)
    const networks = (await files.folders(OWNERS_FOLDER)).filter((name) => NETWORK_PATTERN.test(name))
    return new Map(networks.map((network) => [network, new OwnerFiles(files, network)]))
  }

  /** By name. Throws as {@link get}. */
  async entries(): Promise<Map<string, string>> {
    const names = (await this.#files.list(join(OWNERS_FOLDER, this.#network))).filter((name) => NAME_PATTERN.test(name))
    const owners = new Map<string, string>()
    for (const name of names.sort()) {
      const owner = await this.get(name)
      if (owner !== null) owners.set(name, owner)
    }
    return owners
  }

  async get(name: string): Promise<string | null> {
    const file = this.#file(name)
    try {
      return (await this.#files.read(file, OwnerFile))?.owner ?? null
    } catch (error) {
      if (!(error instanceof NearportError && error.code === 'config-invalid')) throw error
      // To remove the file would be to believe the server once more.
      throw new NearportError(error.code, error.message, {
        next: `put the file back from a backup, or run \`nearport trust ${name}\``,
      })
    }
  }

  async keep(name: string, owner: string): Promise<string> {
    const known = await this.get(name)
    if (known !== null) return known
    await this.#files.createOnce(this.#file(name), { version: 1, owner })
    return (await this.get(name)) ?? owner
  }

  /** Puts this owner in the place of whoever was kept. Throws `config-failed`. */
  async replace(name: string, owner: string): Promise<void> {
    await this.#files.write(this.#file(name), { version: 1, owner })
  }

  #file(name: string): string {
    return join(OWNERS_FOLDER, this.#network, `${name}.json`)
  }
}
