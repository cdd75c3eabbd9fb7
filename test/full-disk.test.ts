/** A server on a real disk that runs full: Linux, as root, since a small disk of its own has to be mounted. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nanoid } from 'nanoid'
import { WebSocket } from 'ws'
import { toBase64Url } from '../shared/bytes.ts'
import { randomBytes } from '../shared/crypto.ts'
import { SignalingClient } from '../shared/signaling-client.ts'
import { Store } from '../signaling/store.ts'
import { describeAsRoot } from './support/root.ts'
import { killSignalProcesses, startSignalProcess } from './support/signal-process.ts'
import { closeTestSignaling, collectingLog, newIdentity, temporaryFolder } from './support/signaling.ts'

const KIB = 1024
const reservation = { owner: toBase64Url(randomBytes(32)), mode: 'tcpTunnel' } as const
const log = collectingLog()

const disks: string[] = []
afterEach(async () => {
  killSignalProcesses()
  // Lazily: a process that was just killed may still have it open.
  for (const disk of disks.splice(0)) execFileSync('umount', ['--lazy', disk])
  await closeTestSignaling()
})

const mount = (folder: string) => execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${512 * KIB}`, 'tmpfs', folder])

/** Root in a container may still not mount. */
function tryMount(): void {
  const folder = mkdtempSync(join(tmpdir(), 'nearport-test-'))
  try {
    mount(folder)
    execFileSync('umount', [folder])
  } finally {
    rmdirSync(folder)
  }
}

/** A folder that holds half a MiB. */
async function smallDisk(): Promise<string> {
  const disk = await temporaryFolder()
  mount(disk)
  disks.push(disk)
  return disk
}

/** Takes all space but so many bytes, until the function it returns is called. */
async function fill(disk: string, left: number): Promise<() => Promise<void>> {
  const { bavail, bsize } = await statfs(disk)
  const filler = join(disk, 'filler')
  await writeFile(filler, Buffer.alloc(Math.max(0, bavail * bsize - left)))
  return () => rm(filler)
}

/** Reserves names until the disk refuses one; returns those that it took. */
async function reserveUntilFull(prefix: string, reserve: (name: string) => Promise<void>): Promise<string[]> {
  for (const taken: string[] = []; ; ) {
    const name = `${prefix}-${taken.length}`
    try {
      await reserve(name)
    } catch (error) {
      expect(error).toMatchObject({ code: 'store-failed' })
      return taken
    }
    taken.push(name)
  }
}

async function reserveAll(names: readonly string[], reserve: (name: string) => Promise<void>): Promise<void> {
  await Promise.all(names.map(reserve))
}

const named = (prefix: string): string[] => Array.from({ length: 20 }, (_, index) => `${prefix}-${index}`)

function fullDisk(): void {
  test.each([0, 4 * KIB, 12 * KIB])('with %i bytes left, later full again, loses nothing', async (left) => {
    const disk = await smallDisk()
    const folder = join(disk, 'data')
    const store = await Store.open({ folder, log })
    await store.begin(randomBytes(32))
    const reserve = (name: string) => store.put(name, reservation)
    const acknowledged: string[] = []
    for (const round of ['one', 'two', 'three']) {
      const makeRoom = await fill(disk, left)
      acknowledged.push(...(await reserveUntilFull(`full-${round}`, reserve)))
      await expect(reserve('refused')).rejects.toMatchObject({ code: 'store-failed' })
      await expect(store.delete(acknowledged[0] ?? 'none')).rejects.toMatchObject({ code: 'store-failed' })
      expect([...store.reservations.keys()].sort()).toEqual(acknowledged.sort())
      await makeRoom()
      await reserveAll(named(`room-${round}`), reserve)
      acknowledged.push(...named(`room-${round}`))
    }
    await store.close()
    const again = await Store.open({ folder, log })
    expect([...again.reservations.keys()].sort()).toEqual(acknowledged.sort())
    await again.close()
  })

  test('loses nothing of a server that is killed while it is full, and after', async () => {
    const disk = await smallDisk()
    const folder = join(disk, 'data')
    const key = randomBytes(32)
    const identity = await newIdentity()
    const acknowledged: string[] = []
    const withServer = async (use: (client: SignalingClient) => Promise<void>) => {
      const server = await startSignalProcess(folder, key)
      const options = { url: server.url, networkKey: key, identity, peer: nanoid(), WebSocket, log }
      const client = new SignalingClient(options)
      await client.start()
      await use(client)
      await server.kill()
      await client.close()
    }
    await withServer(async (client) => {
      const makeRoom = await fill(disk, 4 * KIB)
      acknowledged.push(...(await reserveUntilFull('full', (name) => client.reserve(name))))
      await makeRoom()
      await reserveAll(named('room'), (name) => client.reserve(name))
      acknowledged.push(...named('room'))
    })
    const rooms: (() => Promise<void>)[] = []
    await withServer(async (client) => {
      expect((await client.list()).map(({ name }) => name).sort()).toEqual(acknowledged.sort())
      rooms.push(await fill(disk, 0))
      acknowledged.push(...(await reserveUntilFull('again', (name) => client.reserve(name))))
    })
    for (const makeRoom of rooms) await makeRoom()
    await withServer(async (client) => {
      expect((await client.list()).map(({ name }) => name).sort()).toEqual(acknowledged.sort())
    })
  })
}

describeAsRoot('a full disk', fullDisk, tryMount)
