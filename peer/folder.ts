/** The files of a configuration folder: each is written whole or not at all, and only this user can read it. */
import type { Dirent } from 'node:fs'
import { link, mkdir, open, readdir, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { nanoid } from 'nanoid'
import * as v from 'valibot'
import writeFileAtomic from 'write-file-atomic'
import { asNearportError, NearportError } from '../shared/errors.ts'

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | null)?.code

export class Folder {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  /** Where a file is, for errors. */
  pathOf(file: string): string {
    return join(this.path, file)
  }

  /**
   * The parsed file, or null if there is none. Throws `config-failed`, or `config-invalid` for what does not fit the
   * schema. Its content never enters an error: it may be a key.
   */
  async read<S extends v.GenericSchema>(file: string, schema: S): Promise<v.InferOutput<S> | null> {
    let text: string
    try {
      text = await readFile(this.pathOf(file), 'utf8')
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null
      throw this.#failed(file, error)
    }
    try {
      return v.parse(schema, JSON.parse(text))
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof v.ValiError)) throw error
      throw new NearportError('config-invalid', `${this.pathOf(file)} is not what nearport writes there`)
    }
  }

  /** Replaces the file. Throws `config-failed`. */
  async write(file: string, value: object): Promise<void> {
    try {
      await mkdir(dirname(this.pathOf(file)), { recursive: true, mode: 0o700 })
      await writeFileAtomic(this.pathOf(file), `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 })
      await syncFolder(dirname(this.pathOf(file)))
    } catch (error) {
      throw this.#failed(file, error)
    }
  }

  /** Writes a file that is never replaced: of two processes that make it at once, one does, and both use that one. */
  async createOnce(file: string, value: object): Promise<void> {
    const draft = `${file}.${process.pid}.${nanoid()}`
    await this.write(draft, value)
    try {
      await link(this.pathOf(draft), this.pathOf(file))
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw this.#failed(file, error)
    } finally {
      await this.remove(draft)
    }
    await syncFolder(dirname(this.pathOf(file)))
  }

  /** The names of the folders in a folder below; none if it does not exist. Throws `config-failed`. */
  async folders(folder: string): Promise<string[]> {
    return (await this.#entries(folder)).filter((entry) => entry.isDirectory()).map(({ name }) => name)
  }

  /** The names of the files in a folder below, without their `.json`; none if it does not exist. Throws `config-failed`. */
  async list(folder: string): Promise<string[]> {
    const files = (await this.#entries(folder)).map(({ name }) => name)
    return files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length))
  }

  /** A file, or a folder with all that is in it. Throws `config-failed`. */
  async remove(file: string): Promise<void> {
    try {
      await rm(this.pathOf(file), { recursive: true, force: true })
    } catch (error) {
      throw this.#failed(file, error)
    }
  }

  async #entries(folder: string): Promise<Dirent[]> {
    try {
      return await readdir(this.pathOf(folder), { withFileTypes: true })
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return []
      throw this.#failed(folder, error)
    }
  }

  #failed(file: string, error: unknown): NearportError {
    return new NearportError('config-failed', `${this.pathOf(file)}: ${asNearportError(error).message}`, {
      cause: error,
    })
  }
}

/** A name is on the disk once its folder is: else a power cut takes a file that was reported as written. */
async function syncFolder(path: string): Promise<void> {
  // Windows opens no folder, and writes names through by itself.
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } catch (error) {
    // Some network file systems know no such thing (POSIX fsync, EINVAL).
    if (codeOf(error) !== 'EINVAL' && codeOf(error) !== 'ENOTSUP') throw error
  } finally {
    await folder.close()
  }
}
