/**
 * Who owns each name, remembered at first use as ssh remembers the keys of hosts: which identity a name belongs to is
 * the server's word, and the server is believed only once.
 */
import { admissionVerifier, type Bytes, networkId } from './crypto.ts'
import { asNearportError, NearportError } from './errors.ts'
import { identityFingerprint, toBase32 } from './fingerprint.ts'
import type { Log } from './log.ts'

/** Where the owners of the names of one network are kept. */
export interface OwnerStore {
  /** The identity (base64url) that is kept for a name; null if none is. Throws `config-invalid` or `config-failed`. */
  get(name: string): Promise<string | null>
  /** Keeps the owner of a name that has none, also where several do so at once. Returns who it is then. Throws as get(). */
  keep(name: string, owner: string): Promise<string>
}

/** What a store calls a network: a network is its key, wherever its server is. Not secret. */
export const networkName = async (networkKey: Bytes): Promise<string> =>
  toBase32(await networkId(await admissionVerifier(networkKey)))

export class KnownOwners {
  readonly #store: OwnerStore
  readonly #log: Log
  /** Owners that were met and could not be kept. */
  readonly #unkept = new Map<string, string>()

  constructor(store: OwnerStore, log: Log) {
    this.#store = store
    this.#log = log
  }

  /** Throws `owner-changed` if another identity is known for the name; `config-invalid` or `config-failed` if nobody can tell. */
  async check(name: string, owner: string): Promise<void> {
    const kept = await this.#store.get(name)
    // Of two processes the one that could write it decides.
    if (kept !== null) this.#unkept.delete(name)
    const known = kept ?? this.#unkept.get(name) ?? owner
    if (known !== owner) throw ownerChanged(name, known, owner)
  }

  /**
   * The owner has proven itself, and serves the name: it is remembered if none was. Throws as {@link check}. What cannot
   * be written is held in memory, and the error logged: a full disk stops no job.
   */
  async remember(name: string, owner: string): Promise<void> {
    await this.check(name, owner)
    try {
      const known = await this.#store.keep(name, owner)
      this.#unkept.delete(name)
      if (known !== owner) throw ownerChanged(name, known, owner)
    } catch (error) {
      const { code, message, next } = asNearportError(error)
      if (code !== 'config-failed') throw error
      if (!this.#unkept.has(name)) {
        const fields = { name, code, reason: message, next }
        this.#log.error(fields, 'the owner of a share is remembered only until this process ends')
      }
      this.#unkept.set(name, owner)
    }
  }

  /** Tries again to keep the owner of a name that is only in memory. Throws as {@link check}. */
  async keepAgain(name: string): Promise<void> {
    const owner = this.#unkept.get(name)
    if (owner !== undefined) await this.remember(name, owner)
  }
}

function ownerChanged(name: string, known: string, owner: string): NearportError {
  const [before, now] = [known, owner].map(identityFingerprint)
  return new NearportError(
    'owner-changed',
    `"${name}" belongs to ${before}, as far as is known here, and the server now names ${now}`,
    {
      next: `if \`nearport identity show\` prints ${now} on the share host, run \`nearport trust ${name}=${now}\` here; if not, somebody else wants these jobs`,
    },
  )
}
