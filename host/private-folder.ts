/**
 * What nearport keeps on disk is for its user alone: folders 0700, files 0600, whatever the umask was and whoever made
 * the folder.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { asNearportError, NearportError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'

export interface PrivateFolder {
  readonly path: string
  /** The names of what nearport keeps in it. Where there is anything else, the folder itself is left as it is. */
  readonly ours: RegExp
  readonly log: Log
}

/** Bits of a mode: all that others than the owner may do, and what they may write. */
const OTHERS = 0o077
const GROUP_WRITES = 0o020
const ALL_WRITE = 0o002
/** Each volume of some file systems has one. */
const NEUTRAL = 'lost+found'

/** Whom a folder or a file is of, and what they may do with it. */
interface Access {
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

interface Found {
  /** Files and folders that others could read, and cannot any more. */
  mended: number
  /** Of each that others may still read, why: the file system, or its owner, does not let us change it. */
  readonly reasons: string[]
}

/**
 * Takes from others what they may do with a folder and with what nearport has in it, and logs what they could read.
 * What cannot be changed (another user's, a read-only file system) is logged. A folder that does not exist is none.
 * Throws `folder-unsafe` where others can write, since nothing in there can be trusted, and else what the system throws.
 */
export async function keepPrivate({ path, ours, log }: PrivateFolder): Promise<void> {
  // Access there is not a matter of modes, and the folders of a user are for that user.
  if (process.platform === 'win32') return
  const found: Found = { mended: 0, reasons: [] }
  await withOpen(path, 'follow', async (folder) => {
    const names = (await readdir(path)).filter((name) => name !== NEUTRAL)
    const isOurs = names.every((name) => ours.test(name))
    await mend(path, folder, isOurs, found)
    for (const name of names) if (ours.test(name)) await mendBelow(join(path, name), found)
    const { uid } = await folder.stat()
    if (uid !== 0 && uid !== process.geteuid?.()) {
      log.info({ folder: path, uid }, 'the folder belongs to another user, who can read and change what is in it')
    }
  })
  const { mended, reasons } = found
  if (mended > 0) {
    log.warn({ folder: path, entries: mended }, 'other users of this host could read what is in here; now they cannot')
  }
  if (reasons.length > 0) {
    const [reason] = reasons
    log.warn(
      { folder: path, entries: reasons.length, reason },
      'other users of this host may read what is in here, and it cannot be changed',
    )
  }
}

async function mendBelow(path: string, found: Found): Promise<void> {
  await withOpen(path, 'no links', async (file) => {
    await mend(path, file, true, found)
    if (!(await file.stat()).isDirectory()) return
    for (const name of await readdir(path)) await mendBelow(join(path, name), found)
  })
}

/** `isOurs`: its mode may be changed. */
async function mend(path: string, file: FileHandle, isOurs: boolean, found: Found): Promise<void> {
  const stats = await file.stat()
  const isFolder = stats.isDirectory()
  if (isFolder && othersWrite(stats)) throw unsafe(path)
  if (!isOurs || (stats.mode & OTHERS) === 0) return
  try {
    await file.chmod(isFolder ? 0o700 : 0o600)
    found.mended++
  } catch (error) {
    if (othersWrite(stats)) throw unsafe(path)
    found.reasons.push(asNearportError(error).message)
  }
}

/**
 * Where a volume is another user's and we may write by our group, its group is how we were let in: so containers get
 * theirs.
 */
function othersWrite({ mode, uid, gid }: Access): boolean {
  if ((mode & ALL_WRITE) !== 0) return true
  const groups = [process.getegid?.(), ...(process.getgroups?.() ?? [])]
  const isLetIn = uid !== process.geteuid?.() && groups.includes(gid)
  return (mode & GROUP_WRITES) !== 0 && !isLetIn
}

const unsafe = (path: string): NearportError =>
  new NearportError('folder-unsafe', `other users of this host can write to ${path}`)

/**
 * Nothing is done for what does not exist (any more), for a link or for what is neither a file nor a folder. Open, so
 * that its mode is changed and not that of what was put in its place.
 */
async function withOpen(
  path: string,
  links: 'follow' | 'no links',
  use: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = constants
  let file: FileHandle
  try {
    file = await open(path, O_RDONLY | O_NONBLOCK | (links === 'follow' ? 0 : O_NOFOLLOW))
  } catch (error) {
    if (['ENOENT', 'ELOOP', 'ENXIO'].includes(String((error as NodeJS.ErrnoException).code))) return
    throw error
  }
  try {
    await use(file)
  } finally {
    await file.close()
  }
}
