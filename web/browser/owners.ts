/** The owners of names that this browser knows, in its database; see shared/known-owners.ts. */
import * as v from 'valibot'
import type { Bytes } from '../../shared/crypto.ts'
import { NearportError } from '../../shared/errors.ts'
import { networkName, type OwnerStore } from '../../shared/known-owners.ts'
import { publicKey } from '../../shared/schema.ts'
import { type Database, OWNERS } from './database.ts'

const KnownOwner = v.strictObject({ network: v.string(), name: v.string(), owner: publicKey })

export class PageOwners implements OwnerStore {
  /** Called when one of them is another, as far as this page has seen. */
  onchange: () => void = () => undefined
  readonly #database: Database
  readonly #network: string
  readonly #known = new Map<string, string>()

  private constructor(database: Database, network: string) {
    this.#database = database
    this.#network = network
  }

  /** Those of a network. Throws `config-failed`. */
  static async of(database: Database, networkKey: Bytes): Promise<PageOwners> {
    const network = await networkName(networkKey)
    const owners = new PageOwners(database, network)
    for (const value of await database.values(OWNERS)) {
      // One that is spoiled is refused when its name is used.
      if (v.is(KnownOwner, value) && value.network === network) owners.#known.set(value.name, value.owner)
    }
    return owners
  }

  /** By name, for what is shown: each page asks the database anew before it uses one. */
  get known(): ReadonlyMap<string, string> {
    return this.#known
  }

  async get(name: string): Promise<string | null> {
    const value = await this.#database.get(OWNERS, this.#key(name))
    return value === undefined ? null : this.#see(name, value)
  }

  async keep(name: string, owner: string): Promise<string> {
    const value = { network: this.#network, name, owner }
    return this.#see(name, await this.#database.keep(OWNERS, this.#key(name), value))
  }

  /** Puts this owner in the place of whoever was kept. Throws `config-failed`. */
  async replace(name: string, owner: string): Promise<void> {
    const value = { network: this.#network, name, owner }
    await this.#database.put(OWNERS, this.#key(name), value)
    this.#see(name, value)
  }

  #key(name: string): string {
    return `${this.#network} ${name}`
  }

  #see(name: string, value: unknown): string {
    if (!v.is(KnownOwner, value)) {
      throw new NearportError('config-invalid', `this browser keeps no owner of "${name}" that can be read`, {
        next: 'accept the owner again, once you know who it is',
      })
    }
    const { owner } = value
    if (this.#known.get(name) === owner) return owner
    this.#known.set(name, owner)
    this.onchange()
    return owner
  }
}
