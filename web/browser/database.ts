/** What the browser keeps for this origin, in IndexedDB. */
import { NearportError } from '../../shared/errors.ts'

const NAME = 'nearport'
const VERSION = 1
export const KEYS = 'keys'
/** By peer id: pages that have not ended in order. */
export const PAGES = 'pages'
type StoreName = typeof KEYS | typeof PAGES

export class Database {
  readonly #db: IDBDatabase

  private constructor(db: IDBDatabase) {
    this.#db = db
  }

  /** Throws `config-failed`. */
  static async open(): Promise<Database> {
    try {
      const opening = indexedDB.open(NAME, VERSION)
      opening.onupgradeneeded = () => {
        for (const store of [KEYS, PAGES]) opening.result.createObjectStore(store)
      }
      return new Database(await resultOf(opening))
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
      const transaction = this.#db.transaction(name, mode)
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

function failed(error: unknown): NearportError {
  const reason = error instanceof Error ? error.message : 'the browser does not say why'
  const next = 'allow this page to keep data (cookies and site data), then load it again'
  return new NearportError('config-failed', `this page cannot keep its identity: ${reason}`, { cause: error, next })
}
