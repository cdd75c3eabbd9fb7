import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from '@jest/globals'
import { ClassicLevel } from 'classic-level'
import { nanoid } from 'nanoid'
import { WebSocket } from 'ws'
import { toBase64Url } from '../shared/bytes.ts'
import { type Bytes, type Identity, randomBytes } from '../shared/crypto.ts'
import { withLimits } from '../shared/limits.ts'
import { SignalingClient } from '../shared/signaling-client.ts'
import { Reservations } from '../signaling/reservations.ts'
import { Store } from '../signaling/store.ts'
import { killSignalProcesses, startSignalProcess } from './support/signal-process.ts'
import { closeTestSignaling, collectingLog, newIdentity, temporaryFolder } from './support/signaling.ts'

const log = collectingLog()
afterEach(async () => {
  killSignalProcesses()
  await closeTestSignaling()
})

async function connect(url: string, networkKey: Bytes, identity: Identity): Promise<SignalingClient> {
  const client = new SignalingClient({ url, networkKey, identity, peer: nanoid(), WebSocket, log: collectingLog() })
  await client.start()
  return client
}

describe('kill -9', () => {
  test.each([1, 50, 90])(
    'in the middle of 100 reservations, after %i answers, loses none of them',
    async (killAfter) => {
      const folder = await temporaryFolder()
      const key = randomBytes(32)
      const identity = await newIdentity()
      const server = await startSignalProcess(folder, key)
      const client = await connect(server.url, key, identity)
      const acknowledged: string[] = []
      let killed: Promise<void> | undefined
      // Ten at a time, so that some are under way when the server dies, and the others find it dead.
      const lane = async (first: number) => {
        for (let index = first; index < first + 10; index++) {
          await killed
          await client.reserve(`printer-${index}`)
          if (acknowledged.push(`printer-${index}`) === killAfter) killed = server.kill()
        }
      }
      const results = await Promise.allSettled(Array.from({ length: 10 }, (_, index) => lane(index * 10)))
      await client.close()
      expect(acknowledged.length).toBeGreaterThanOrEqual(killAfter)
      expect(acknowledged.length).toBeLessThan(100)
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'server-unreachable' })
      }

      const restarted = await startSignalProcess(folder, key)
      const other = await connect(restarted.url, key, identity)
      const shares = await other.list()
      expect(shares.map(({ name }) => name)).toEqual(expect.arrayContaining(acknowledged))
      for (const share of shares)
        expect(share).toMatchObject({ owner: identity.publicKey, online: false, reserved: true })
      await other.close()
    },
  )
})

describe('the store', () => {
  const reservation = { owner: toBase64Url(randomBytes(32)), mode: 'tcpTunnel' } as const
  const limits = withLimits({ reservationsPerIdentity: 1 })

  test('remembers the network and the names', async () => {
    const folder = await temporaryFolder()
    const verifier = randomBytes(32)
    const first = await Store.open({ folder, log })
    expect(first.verifier).toBeNull()
    await first.begin(verifier)
    await first.put('pc1', reservation)
    await first.put('pc2', reservation)
    await first.delete('pc1')
    await first.close()
    const second = await Store.open({ folder, log })
    expect(second.verifier).toEqual(verifier)
    expect([...second.reservations]).toEqual([['pc2', reservation]])
    await second.close()
  })

  test('says so when another process has it', async () => {
    const folder = await temporaryFolder()
    await startSignalProcess(folder, randomBytes(32))
    await expect(Store.open({ folder, log })).rejects.toMatchObject({ code: 'store-locked' })
  })

  test('says so when the folder cannot be', async () => {
    const file = fileURLToPath(import.meta.url)
    await expect(Store.open({ folder: `${file}/x`, log })).rejects.toMatchObject({ code: 'store-failed' })
  })

  test.each([
    ['a value that is not JSON', 'name/pc1', '{'],
    ['a reservation with a field too many', 'name/pc1', JSON.stringify({ ...reservation, x: 1 })],
    ['an owner that is none', 'name/pc1', JSON.stringify({ ...reservation, owner: 'me' })],
    ['a name that is none', 'name/PC 1', JSON.stringify(reservation)],
    ['a key of another version', 'shares/pc1', JSON.stringify(reservation)],
    ['another format', 'meta', JSON.stringify({ format: 2, verifier: reservation.owner })],
    ['names of no network', 'name/pc1', JSON.stringify(reservation)],
  ])('refuses %s', async (_what, key, value) => {
    const folder = await temporaryFolder()
    const db = new ClassicLevel(folder)
    await db.put(key, value)
    await db.close()
    await expect(Store.open({ folder, log })).rejects.toMatchObject({ code: 'config-invalid' })
  })

  test('a failed write leaves the name free, and its place to others', async () => {
    const folder = await temporaryFolder()
    const store = await Store.open({ folder, log })
    const reservations = new Reservations(store, limits)
    await store.close()
    for (const name of ['pc1', 'pc2']) {
      await expect(reservations.reserve(name, reservation, 'here', () => true)).rejects.toMatchObject({
        code: 'store-failed',
      })
      expect(reservations.owner(name)).toBeUndefined()
    }
  })

  test('writes of one name take turns, and each sees what the one before it did', async () => {
    const store = await Store.open({ folder: await temporaryFolder(), log })
    const reservations = new Reservations(store, limits)
    const other = { ...reservation, owner: toBase64Url(randomBytes(32)) }
    const results = await Promise.allSettled([
      reservations.reserve('pc1', reservation, 'here', () => true),
      reservations.reserve('pc1', other, 'here', () => true),
      reservations.release('pc1', reservation.owner),
      reservations.reserve('pc1', other, 'here', () => true),
      reservations.reserve('pc1', reservation, 'here', () => true),
    ])
    expect(results.map((result) => (result.status === 'rejected' ? result.reason.code : 'ok'))).toEqual([
      'ok',
      'name-taken',
      'ok',
      'ok',
      'name-taken',
    ])
    expect([...store.reservations]).toEqual([['pc1', other]])
    await store.close()
  })
})
