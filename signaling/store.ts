/**
 * What a server keeps on disk: the admission verifier and the reservations. Every write is synced before it counts, so
 * that `kill -9` loses nothing that was acknowledged. Reads come from memory, which holds what was acknowledged and
 * nothing else.
 */
import { mkdir } from 'node:fs/promises'
import * as v from 'valibot'
import { keepPrivate } from '../host/private-folder.ts'
import { fromBase64Url, toBase64Url } from '../shared/bytes.ts'
import type { Bytes } from '../shared/crypto.ts'
import { type Deferred, deferred } from '../shared/deferred.ts'
import { NearportError } from '../shared/errors.ts'
import { NAME_PATTERN } from '../shared/names.ts'
import { base64url } from '../shared/schema.ts'
import { type Change, Disk, type DiskOptions, isLocked, reasonOf } from './disk.ts'

const FORMAT = 1
const META_KEY = 'meta'
const NAME_PREFIX = 'name/'
/** What LevelDB has in its folder. */
const LEVEL_FILE = /^(?:CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(?:log|ldb|sst|dbtmp))$/

const base64url32 = base64url(32)
const MetaSchema = v.strictObject({ format: v.literal(FORMAT), verifier: base64url32 })
const ReservationSchema = v.strictObject({ owner: base64url32, mode: v.literal('tcpTunnel') })

export type Reservation = Readonly<v.InferOutput<typeof ReservationSchema>>

export type StoreOptions = Omit<DiskOptions, 'expected'>

/** A change that waits for the disk. */
interface Write {
  readonly what: string
  readonly change: Change
  /** Called when it is on disk. */
  readonly apply: () => void
  readonly written: Deferred<void>
}

export class Store {
  readonly #reservations = new Map<string, Reservation>()
  #verifier: Bytes | null = null
  readonly #disk: Disk
  readonly #waiting: Write[] = []
  #isWriting = false

  private constructor(options: StoreOptions) {
    this.#disk = new Disk({ ...options, expected: () => this.#entries() })
  }

  /**
   * Opens the store in `folder`, and makes it if need be. Throws `store-locked` when another process has it open,
   * `store-failed` when the disk refuses, `folder-unsafe` when others can write to it, `config-invalid` when what is
   * stored is not ours.
   */
  static async open(options: StoreOptions): Promise<Store> {
    const { folder, log } = options
    const store = new Store(options)
    let entries: ReadonlyMap<string, string>
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await keepPrivate({ path: folder, ours: LEVEL_FILE, log })
      // LevelDB makes files whenever it likes, and takes no mode for them.
      process.umask(0o077)
      entries = await store.#disk.open()
    } catch (error) {
      if (error instanceof NearportError) throw error
      throw isLocked(error)
        ? new NearportError('store-locked', `${folder} is in use by another process`, { cause: error })
        : failed(`cannot open ${folder}`, error)
    }
    try {
      store.#load(entries)
    } catch (error) {
      await store.close()
      throw error instanceof NearportError ? new NearportError(error.code, `${folder}: ${error.message}`) : error
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
  begin(verifier: Bytes): Promise<void> {
    return this.#write('the network', { type: 'put', key: META_KEY, value: metaText(verifier) }, () => {
      this.#verifier = verifier
    })
  }

  /** Resolves once the reservation is on disk. Throws `store-failed`, and the name is then as it was. */
  put(name: string, reservation: Reservation): Promise<void> {
    const change = { type: 'put', key: NAME_PREFIX + name, value: JSON.stringify(reservation) } as const
    return this.#write(name, change, () => this.#reservations.set(name, reservation))
  }

  /** Resolves once the reservation is gone from disk. Throws `store-failed`, and the name is then as it was. */
  delete(name: string): Promise<void> {
    return this.#write(name, { type: 'del', key: NAME_PREFIX + name }, () => this.#reservations.delete(name))
  }

  /** To be called when no write is under way. */
  async close(): Promise<void> {
    await this.#disk.close()
  }

  #write(what: string, change: Change, apply: () => void): Promise<void> {
    const written = deferred<void>()
    this.#waiting.push({ what, change, apply, written })
    if (!this.#isWriting) void this.#writeAll()
    return written.promise
  }

  /** What comes while the disk is busy is written together afterwards, with one sync for all. Never rejects. */
  async #writeAll(): Promise<void> {
    this.#isWriting = true
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0)
      try {
        await this.#disk.write(group.map(({ change }) => change))
        for (const { apply, written } of group) {
          apply()
          written.resolve()
        }
      } catch (error) {
        for (const { what, written } of group) written.reject(failed(`cannot store ${what}`, error))
      }
    }
    this.#isWriting = false
  }

  /** All that was acknowledged, as it stands on disk. */
  *#entries(): Iterable<[key: string, value: string]> {
    if (this.#verifier !== null) yield [META_KEY, metaText(this.#verifier)]
    for (const [name, reservation] of this.#reservations) yield [NAME_PREFIX + name, JSON.stringify(reservation)]
  }

  #load(entries: ReadonlyMap<string, string>): void {
    for (const [key, text] of entries) this.#take(key, text)
    if (this.#verifier === null && this.#reservations.size > 0) {
      throw new NearportError('config-invalid', 'there are names, but no network they belong to')
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

const metaText = (verifier: Bytes): string =>
  JSON.stringify({ format: FORMAT, verifier: toBase64Url(verifier) } satisfies v.InferOutput<typeof MetaSchema>)

const failed = (what: string, error: unknown): NearportError =>
  new NearportError('store-failed', `${what}: ${reasonOf(error)}`, { cause: error })
