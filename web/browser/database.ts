/** What the browser keeps for this origin, in IndexedDB. */
import { NearportError } from '../../shared/errors.ts'

const NAME = 'nearport'
/** Raised with each new store. */
const VERSION = 2
export const KEYS = 'keys'
/** By peer id: pages that have not ended in order. */
export const PAGES = 'pages'
/** By network and name. */
export const OWNERS = 'owners'
const STORES = [KEYS, PAGES, OWNERS] as const
type StoreName = (typeof STORES)[number]

export class Database {
  readonly #db: IDBDatabase

  private constructor(db: IDBDatabase) {
    this.#db = db
    // A page of a later version must not wait for this one, which says so when it needs the database again.
    db.onversionchange = () => db.close()
  }

  /** Throws `config-failed`. */
  static async open(): Promise<Database> {
    try {
      const opening = indexedDB.open(NAME, VERSION)
      opening.onupgradeneeded = () => {
        const { result } = opening
        for (const store of STORES) if (!result.objectStoreNames.contains(store)) result.createObjectStore(store)
      }
      return new Database(await Promise.race([resultOf(opening), blocked(opening)]))
    } catch (error) {
      throw failed(error)
    }
  }

  get(store: StoreName, key: string): Promise<unknown> {
    return this.#in(store, 'readonly', (values) => resultOf(values.get(key)))
  }

  /** Stores a value if there is none; returns the one that is there then. */
  keep(store: StoreName, key: string, value: unknown): Promise<unknown> {
    return this.#in(store, 'readwrite', async (values) => {
      const known = await resultOf(values.get(key))
      if (known !== undefined) return known
      values.put(value, key)
      return value
    })
  }

  async put(store: StoreName, key: string, value: unknown): Promise<void> {
    await this.#in(store, 'readwrite', (values) => resultOf(values.put(value, key)))
  }

  values(store: StoreName): Promise<unknown[]> {
    return this.#in(store, 'readonly', (values) => resultOf(values.getAll()))
  }

  async delete(store: StoreName, key: string): Promise<void> {
    await this.#in(store, 'readwrite', (values) => resultOf(values.delete(key)))
  }

  close(): void {
    this.#db.close()
  }

  /** In a transaction, which has ended once it resolves. */
  async #in<T>(name: StoreName, mode: IDBTransactionMode, use: (store: IDBObjectStore) => Promise<T>): Promise<T> {
    try {
      const transaction = this.#db.transaction(name, mode, { durability: 'strict' })
      const ended = new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve()
        transaction.onabort = () => reject(transaction.error)
      })
      const [result] = await Promise.all([use(transaction.objectStore(name)), ended])
      return result
    } catch (error) {
      throw failed(error)
    }
  }
}

function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** Rejects if another page keeps the database in its old form; a database that opens after all is closed again. */
function blocked(opening: IDBOpenDBRequest): Promise<never> {
  return new Promise((_, reject) => {
    opening.onblocked = () => {
      opening.addEventListener('success', () => opening.result.close())
      reject(
        new NearportError('config-failed', 'another page of this site, of an older version, is still open', {
          next: 'close the other pages of this site, then load this one again',
        }),
      )
    }
  })
}

function failed(error: unknown): NearportError {
  if (error instanceof NearportError) return error
  const reason = error instanceof Error ? error.message : 'the browser does not say why'
  const next = 'allow this page to keep data (cookies and site data), then load it again'
  return new NearportError('config-failed', `this page cannot keep its data: ${reason}`, { cause: error, next })
}
