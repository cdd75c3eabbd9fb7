/**
 * What a server keeps on disk: the admission verifier and the reservations, in LevelDB. Every write is synced before
 * it counts, so that `kill -9` loses nothing that was acknowledged. Reads come from memory.
 */
import { mkdir } from 'node:fs/promises'
import { ClassicLevel } from 'classic-level'
import * as v from 'valibot'
import { fromBase64Url, toBase64Url } from '../shared/bytes.ts'
import type { Bytes } from '../shared/crypto.ts'
import { NearportError } from '../shared/errors.ts'
import { NAME_PATTERN } from '../shared/names.ts'
import { base64url } from '../shared/schema.ts'

const FORMAT = 1
const META_KEY = 'meta'
const NAME_PREFIX = 'name/'
const SYNC = { sync: true } as const

const base64url32 = base64url(32)
const MetaSchema = v.strictObject({ format: v.literal(FORMAT), verifier: base64url32 })
const ReservationSchema = v.strictObject({ owner: base64url32, mode: v.literal('tcpTunnel') })

export type Reservation = Readonly<v.InferOutput<typeof ReservationSchema>>

export class Store {
  readonly #db: ClassicLevel
  readonly #reservations = new Map<string, Reservation>()
  #verifier: Bytes | null = null

  private constructor(db: ClassicLevel) {
    this.#db = db
  }

  /**
   * Opens the store in `folder`, and makes it if need be. Throws `store-locked` when another process has it open,
   * `store-failed` when the disk refuses, `config-invalid` when what is stored is not ours.
   */
  static async open(folder: string): Promise<Store> {
    const db = new ClassicLevel(folder)
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await db.open()
    } catch (error) {
      throw isLocked(error)
        ? new NearportError('store-locked', `${folder} is in use by another process`, { cause: error })
        : failed(`cannot open ${folder}`, error)
    }
    const store = new Store(db)
    try {
      await store.#load(folder)
    } catch (error) {
      await db.close()
      throw error
    }
    return store
  }

  /** null until {@link begin}: nothing was ever started with this folder. */
  get verifier(): Bytes | null {
    return this.#verifier
  }

  get reservations(): ReadonlyMap<string, Reservation> {
    return this.#reservations
  }

  /** Binds the folder to a network. Throws `store-failed`. */
  async begin(verifier: Bytes): Promise<void> {
    const meta: v.InferOutput<typeof MetaSchema> = { format: FORMAT, verifier: toBase64Url(verifier) }
    await this.#write('the network', () => this.#db.put(META_KEY, JSON.stringify(meta), SYNC))
    this.#verifier = verifier
  }

  /** Resolves once the reservation is on disk. Throws `store-failed`, and the name is then as it was. */
  async put(name: string, reservation: Reservation): Promise<void> {
    await this.#write(name, () => this.#db.put(NAME_PREFIX + name, JSON.stringify(reservation), SYNC))
    this.#reservations.set(name, reservation)
  }

  /** Resolves once the reservation is gone from disk. Throws `store-failed`, and the name is then as it was. */
  async delete(name: string): Promise<void> {
    await this.#write(name, () => this.#db.del(NAME_PREFIX + name, SYNC))
    this.#reservations.delete(name)
  }

  async close(): Promise<void> {
    await this.#db.close()
  }

  async #write(what: string, write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      throw failed(`cannot store ${what}`, error)
    }
  }

  async #load(folder: string): Promise<void> {
    try {
      for await (const [key, text] of this.#db.iterator()) this.#take(key, text)
    } catch (error) {
      if (error instanceof NearportError) throw new NearportError(error.code, `${folder}: ${error.message}`)
      throw failed(`cannot read ${folder}`, error)
    }
    if (this.#verifier === null && this.#reservations.size > 0) {
      throw new NearportError('config-invalid', `${folder}: there are names, but no network they belong to`)
    }
  }

  #take(key: string, text: string): void {
    if (key === META_KEY) {
      this.#verifier = fromBase64Url(parse(MetaSchema, key, text).verifier)
      return
    }
    const name = key.slice(NAME_PREFIX.length)
    if (!key.startsWith(NAME_PREFIX) || !NAME_PATTERN.test(name)) {
      throw new NearportError('config-invalid', `the key ${JSON.stringify(key)} is not one of this version`)
    }
    this.#reservations.set(name, parse(ReservationSchema, key, text))
  }
}

function parse<S extends v.GenericSchema>(schema: S, key: string, text: string): v.InferOutput<S> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new NearportError('config-invalid', `the value of ${key} is not JSON`, { cause: error })
  }
  const result = v.safeParse(schema, value)
  if (!result.success) throw new NearportError('config-invalid', `the value of ${key} is not as it must be`)
  return result.output
}

/** What the database says; abstract-level wraps it in `cause`. */
const reasonOf = (error: unknown): unknown =>
  error instanceof Error && error.cause !== undefined ? error.cause : error

function isLocked(error: unknown): boolean {
  const reason = reasonOf(error)
  return typeof reason === 'object' && reason !== null && 'code' in reason && reason.code === 'LEVEL_LOCKED'
}

const failed = (what: string, error: unknown): NearportError =>
  new NearportError('store-failed', `${what}: ${String(reasonOf(error))}`, { cause: error })
