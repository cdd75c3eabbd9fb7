/** What nearport keeps on disk, looked at by another user of the same host. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { Config } from '../peer/config.ts'
import { toBase64Url } from '../shared/bytes.ts'
import { randomBytes } from '../shared/crypto.ts'
import { formatInvite } from '../shared/invite.ts'
import { Store } from '../signaling/store.ts'
import { describeAsRoot } from './support/root.ts'
import { closeTestSignaling, collectingLog, startTestSignaling, temporaryFolder } from './support/signaling.ts'

const CLI = fileURLToPath(new URL('../dist/bin/nearport.js', import.meta.url))
const NOBODY = 65_534
const reservation = { owner: toBase64Url(randomBytes(32)), mode: 'tcpTunnel' } as const

const ends: (() => void)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) end()
  await closeTestSignaling()
})

/** A folder below /tmp that every user reaches, with this mode. */
async function folderOfMode(mode: number): Promise<string> {
  const outer = await temporaryFolder()
  await chmod(outer, 0o755)
  const folder = join(outer, 'folder')
  await mkdir(folder)
  await chmod(folder, mode)
  return folder
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
}

/** The modes of all that is there, by path below the folder, which is ''. */
async function modesOf(folder: string): Promise<Record<string, string>> {
  const paths = ['', ...(await readdir(folder, { recursive: true }))]
  const modeOf = async (path: string) => ((await stat(join(folder, path))).mode & 0o7777).toString(8)
  return Object.fromEntries(await Promise.all(paths.map(async (path) => [path, await modeOf(path)] as const)))
}

const isPrivate = async (folder: string): Promise<void> => {
  const modes = new Set(Object.values(await modesOf(folder)))
  expect([...modes].filter((mode) => !['700', '600'].includes(mode))).toEqual([])
}

/** `nearport ARGUMENTS` from a shell with this umask. */
function start(umask: string, home: string, words: readonly string[]) {
  const command = ['-c', `umask ${umask}; exec "$@"`, '-', process.execPath, CLI, ...words]
  const env = { ...process.env, NEARPORT_HOME: home, NEARPORT_LINK: '' }
  const child = spawn('sh', command, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  ends.push(() => child.kill('SIGKILL'))
  const ended = once(child, 'close').then(([status]) => status as number | null)
  return { stderr: child.stderr.setEncoding('utf8'), ended }
}

async function nearport(umask: string, home: string, ...words: string[]) {
  const { stderr, ended } = start(umask, home, words)
  const said = text(stderr)
  return { status: await ended, stderr: await said }
}

/** Runs `nearport signal`, and returns what it said once it is up. */
async function startSignal(umask: string, folder: string): Promise<string> {
  const words = ['signal', '--listen', '127.0.0.1:0', '--stun-port', '0', '--data', folder]
  const { stderr } = start(umask, '', words)
  let said = ''
  for await (const chunk of stderr) {
    said += chunk
    if (said.includes('the signaling server runs')) return said
  }
  throw new Error(said)
}

/** A data folder as older versions left it where somebody had made the folder. */
async function oldDataFolder(): Promise<string> {
  const folder = await folderOfMode(0o755)
  const store = await Store.open({ folder, log: collectingLog() })
  await store.begin(randomBytes(32))
  await store.put('pc1', reservation)
  await store.close()
  await chmod(folder, 0o755)
  for (const file of await filesBelow(folder)) await chmod(file, 0o644)
  return folder
}

describe('the data folder of a server', () => {
  test.each(['000', '022', '077'])('that somebody has made is private, whatever the umask (%s)', async (umask) => {
    const folder = await folderOfMode(0o755)
    const said = await startSignal(umask, folder)
    await isPrivate(folder)
    expect(await filesBelow(folder)).toContain(join(folder, 'CURRENT'))
    expect(said).toContain('other users of this host could read what is in here; now they cannot')
  })

  test('of an older version is set right, with a line in the log, and still has its names', async () => {
    const folder = await oldDataFolder()
    const log = collectingLog()
    const store = await Store.open({ folder, log })
    expect([...store.reservations.keys()]).toEqual(['pc1'])
    await store.close()
    expect(log.entries).toMatchObject([{ level: 'warn', fields: { folder, entries: expect.any(Number) } }])
    const again = collectingLog()
    await (await Store.open({ folder, log: again })).close()
    expect(again.entries.filter(({ level }) => level !== 'info')).toEqual([])
  })

  test('with other things in it is left as it is, and our files are private', async () => {
    const folder = await oldDataFolder()
    await writeFile(join(folder, 'notes.txt'), '')
    await chmod(join(folder, 'notes.txt'), 0o644)
    const store = await Store.open({ folder, log: collectingLog() })
    expect(await modesOf(folder)).toMatchObject({ '': '755', 'notes.txt': '644', CURRENT: '600' })
    await store.close()
  })

  test.each([0o777, 0o775, 0o1777])('that others can write to is refused (%o)', async (mode) => {
    const folder = await folderOfMode(mode)
    const open = Store.open({ folder, log: collectingLog() })
    await expect(open).rejects.toMatchObject({ code: 'folder-unsafe', message: expect.stringContaining(folder) })
    expect(await readdir(folder)).toEqual([])
  })

  test('below a folder that others can write to, as a volume may be, is made and used', async () => {
    const home = await folderOfMode(0o777)
    const folder = join(home, 'signaling')
    await startSignal('022', folder)
    await isPrivate(folder)
  })
})

describe('the folder of an environment', () => {
  test('that somebody has made is private, whatever the umask', async () => {
    const { url, networkKey } = await startTestSignaling()
    const home = await folderOfMode(0o755)
    expect(await nearport('000', home, 'enable', formatInvite({ url, networkKey }))).toMatchObject({ status: 0 })
    expect(await nearport('000', home, 'reserve', 'private', '127.0.0.1:9100', '-n', 'pc1')).toMatchObject({
      status: 0,
    })
    await isPrivate(home)
    expect((await filesBelow(home)).length).toBe(3)
    for (const file of await filesBelow(home)) await chmod(file, 0o644)
    await chmod(join(home, 'shares'), 0o755)
    const { status, stderr } = await nearport('000', home, 'overview')
    expect(status).toBe(0)
    expect(stderr).toContain('could read what is in here')
    await isPrivate(home)
  })

  test('that others can write to is refused by each command', async () => {
    const home = await folderOfMode(0o777)
    const config = new Config(home, {})
    await config.identity()
    for (const words of [['overview'], ['share', 'reserved', 'pc1'], ['release', 'pc1'], ['doctor']]) {
      const { status, stderr } = await nearport('022', home, ...words)
      expect({ status, stderr }).toMatchObject({ status: 2, stderr: expect.stringContaining('(folder-unsafe)') })
    }
    expect(await nearport('022', home, 'version')).toMatchObject({ status: 0 })
  })

  test('that others can write to below is refused', async () => {
    const home = await folderOfMode(0o700)
    await mkdir(join(home, 'shares'))
    await chmod(join(home, 'shares'), 0o770)
    const kept = new Config(home, {}).keepPrivate(collectingLog())
    await expect(kept).rejects.toMatchObject({ code: 'folder-unsafe', message: expect.stringContaining('shares') })
  })

  test('that is not there is not made', async () => {
    const home = join(await temporaryFolder(), 'none')
    await new Config(home, {}).keepPrivate(collectingLog())
    await expect(stat(home)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

/** Whether a process of another user can read the file. */
function canRead(uid: number, file: string): boolean {
  return spawnSync('cat', [file], { uid, gid: uid, stdio: 'ignore' }).status === 0
}

/** Runs as another user, whose groups are these. */
async function as(uid: number, groups: readonly number[], act: () => Promise<void>): Promise<void> {
  const before = process.getgroups?.() ?? []
  process.setgroups?.([...groups])
  process.setegid?.(uid)
  process.seteuid?.(uid)
  try {
    await act()
  } finally {
    process.seteuid?.(0)
    process.setegid?.(0)
    process.setgroups?.(before)
  }
}

const umount = (folder: string) => execFileSync('umount', ['--lazy', folder])

describeAsRoot('another user of the host', () => {
  test('cannot read what an old version let all read, once this one has started', async () => {
    const folder = await oldDataFolder()
    const files = await filesBelow(folder)
    expect(files.every((file) => canRead(NOBODY, file))).toBe(true)
    await startSignal('000', folder)
    for (const file of [...files, ...(await filesBelow(folder))]) expect(canRead(NOBODY, file)).toBe(false)
  })

  test('cannot read our files beside its own', async () => {
    const folder = await oldDataFolder()
    await writeFile(join(folder, 'notes.txt'), '')
    await chmod(join(folder, 'notes.txt'), 0o644)
    await startSignal('000', folder)
    for (const file of await filesBelow(folder)) expect(canRead(NOBODY, file)).toBe(file.endsWith('notes.txt'))
  })

  test('gets no mode of what it links to changed', async () => {
    const folder = await oldDataFolder()
    const target = join(await temporaryFolder(), 'target')
    await writeFile(target, '')
    await chmod(target, 0o644)
    execFileSync('ln', ['-s', target, join(folder, '000099.log')])
    const kept = await Store.open({ folder, log: collectingLog() }).catch(() => null)
    await kept?.close()
    expect((await stat(target)).mode & 0o777).toBe(0o644)
  })

  test('that owns the folder is named, and everything works', async () => {
    const folder = await oldDataFolder()
    await chown(folder, NOBODY, NOBODY)
    const log = collectingLog()
    await (await Store.open({ folder, log })).close()
    expect(log.entries).toContainEqual(expect.objectContaining({ fields: { folder, uid: NOBODY } }))
  })

  test('may be us, let into a volume by our group', async () => {
    const folder = await folderOfMode(0o2775)
    const group = 54_321
    await chown(folder, 0, group)
    await as(NOBODY, [group], async () => {
      const log = collectingLog()
      const config = new Config(folder, {})
      await config.keepPrivate(log)
      expect(log.entries).toMatchObject([{ level: 'warn', fields: { reason: expect.stringContaining('EPERM') } }])
      await config.identity()
      const store = await Store.open({ folder: join(folder, 'signaling'), log })
      await store.close()
    })
    expect(await modesOf(folder)).toMatchObject({ 'identity.json': '600', signaling: expect.stringMatching(/700$/) })
    await as(NOBODY, [], async () => {
      const kept = new Config(folder, {}).keepPrivate(collectingLog())
      await expect(kept).rejects.toMatchObject({ code: 'folder-unsafe' })
    })
  })

  test('may read what is on a read-only file system: that is said, and it is used', async () => {
    const folder = await folderOfMode(0o755)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=755', 'tmpfs', folder])
    ends.push(() => umount(folder))
    const config = new Config(folder, {})
    const { publicKey } = await config.identity()
    await chmod(join(folder, 'identity.json'), 0o644)
    execFileSync('mount', ['-o', 'remount,ro', folder])
    const log = collectingLog()
    await config.keepPrivate(log)
    expect(log.entries).toMatchObject([
      { level: 'warn', fields: { entries: 2, reason: expect.stringContaining('EROFS') } },
    ])
    expect((await config.identity()).publicKey).toBe(publicKey)
    expect(await readFile(join(folder, 'identity.json'), 'utf8')).toContain('privateKey')
  })
})
