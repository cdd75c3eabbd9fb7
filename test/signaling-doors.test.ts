/** Strangers that hold the doors of a server, and members that come in all the same. Linux has all of 127.0.0.0/8. */
import { once } from 'node:events'
import { afterEach, describe, expect, test } from '@jest/globals'
import { nanoid } from 'nanoid'
import type { Limits } from '../shared/limits.ts'
import type { SignalingOptions } from '../signaling/server.ts'
import { parseRange } from '../signaling/source.ts'
import {
  closeTestSignaling,
  newIdentity,
  RawPeer,
  startTestSignaling,
  type TestSignaling,
} from './support/signaling.ts'
import { loopback, member, Strangers, socketFrom } from './support/strangers.ts'
import { testCertificate } from './support/tls.ts'

const crowds: Strangers[] = []
afterEach(async () => {
  for (const crowd of crowds.splice(0)) crowd.end()
  await closeTestSignaling()
})

async function start(limits: Partial<Limits>, options: Partial<SignalingOptions> = {}) {
  const signaling = await startTestSignaling({ ...options, limits: { dropsTold: 30, ...limits } })
  const strangers = new Strangers(signaling.server.port)
  crowds.push(strangers)
  return { ...signaling, strangers }
}

/** The numbers of the lines about dropped connections, by reason, once there are as many as `wanted`. */
async function drops({ log }: TestSignaling, reason: string, wanted: number): Promise<void> {
  const count = () =>
    log.entries
      .filter(({ message }) => message === 'dropped connections')
      .reduce((sum, { fields }) => sum + Number(fields[reason] ?? 0), 0)
  while (count() < wanted) await new Promise((resolve) => setImmediate(resolve))
  expect(count()).toBe(wanted)
}

const small = { signalingPending: 20, pendingPerSource: 5, connectionsBurst: 1000 }
const tls = { TLS: testCertificate, 'no TLS': async () => undefined }

describe.each(Object.entries(tls))('with %s, silent connections', (_what, certificate) => {
  test('of one host hold a few places, and neither others nor that host are kept out', async () => {
    const cert = await certificate()
    const server = await start(small, { tls: cert })
    await server.strangers.flood(['127.0.0.2'], 60)
    await server.strangers.until(5)
    for (const address of ['127.0.0.1', '127.0.0.2']) await (await member(server, address)).settled()
    await drops(server, 'gave way to another', 56)
  })

  test('of many hosts hold no more than the places of strangers', async () => {
    const cert = await certificate()
    const server = await start({ ...small, signalingConnections: 3 }, { tls: cert })
    const before = await member(server, '127.0.0.1')
    await server.strangers.flood(loopback(1, 100), 2)
    await server.strangers.until(20)
    await (await member(server, '127.0.0.1')).settled()
    await before.settled()
  })
})

test('forty tills behind one NAT that come back together are all admitted', async () => {
  const server = await start({})
  await Promise.all(Array.from({ length: 40 }, () => member(server, '127.0.0.9')))
})

test('and so they are while 250 hosts hold all places', async () => {
  const server = await start({})
  await server.strangers.flood(loopback(1, 250), 4)
  const clients = await Promise.all(
    Array.from({ length: 40 }, () => server.newClient(undefined, { WebSocket: socketFrom('127.0.0.9') })),
  )
  // One that gave way to another by chance comes again.
  await Promise.all(clients.map((client) => client.start({ retry: true })))
  expect(clients.every(({ connected }) => connected)).toBe(true)
})

describe('who is slow', () => {
  const slow = { admissionDeadline: 100 }
  const upgrade =
    'GET /v1/peer HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

  test.each([
    ['with the first byte', ''],
    ['with headers', 'GET / HTTP/1.1\r\nHost: x\r\n'],
    ['with a body', 'POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n'],
  ])('%s is left, and counted', async (_what, text) => {
    const server = await start(slow)
    await once(await server.strangers.connect('127.0.0.2', text), 'close')
    await drops(server, 'request too slow', 1)
  })

  test.each([
    ['with a second request', 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['after the upgrade', upgrade],
  ])('%s is left', async (_what, text) => {
    const server = await start(slow)
    await once(await server.strangers.connect('127.0.0.2', text), 'close')
  })

  test('with the TLS handshake is left, and counted', async () => {
    const server = await start(slow, { tls: await testCertificate() })
    await server.strangers.flood(['127.0.0.2'], 3)
    await server.strangers.until(0)
    await drops(server, 'TLS handshake too slow', 3)
  })

  test('while the server stops does not hold it up', async () => {
    const { server, strangers } = await start({}, { tls: await testCertificate() })
    await strangers.flood(['127.0.0.2'], 3)
    await server.close()
  })
})

test('a host that connects too often is dropped, and others are not', async () => {
  const server = await start({ connectionsBurst: 3, connectionsPerSecond: 0.001 })
  await server.strangers.flood(['127.0.0.2'], 10)
  await server.strangers.until(3)
  await drops(server, 'connects too often', 7)
  await member(server, '127.0.0.3')
})

describe('behind a proxy', () => {
  const rate = { connectionsBurst: 2, connectionsPerSecond: 0.001 }
  const trusted = { trustedProxies: [parseRange('127.0.0.1')] }
  const through = (client: string) => ['127.0.0.1', { 'x-forwarded-for': client }] as const

  test('each host it forwards counts by itself, whatever that host says of itself', async () => {
    const server = await start(rate, trusted)
    await member(server, ...through('192.0.2.1'))
    await member(server, ...through('198.51.100.7, 192.0.2.1'))
    await expect(member(server, ...through('203.0.113.9, 192.0.2.1'))).rejects.toThrow('429')
    await member(server, ...through('192.0.2.2'))
    await drops(server, 'connects too often', 1)
    expect(server.log.entries).toContainEqual(
      expect.objectContaining({
        fields: expect.objectContaining({ remote: expect.stringMatching(/^192\.0\.2\.2 by /) }),
      }),
    )
  })

  test('one that forwards no address is refused', async () => {
    const server = await start(rate, trusted)
    for (const client of ['', 'unknown', '192.0.2.1:80', '192.0.2.1,', 'fe80::1%1']) {
      await expect(member(server, ...through(client))).rejects.toThrow('400')
    }
    await drops(server, 'forwarded without an address', 5)
  })

  test('one that is not trusted cannot say where it comes from, and the operator is told once', async () => {
    const server = await start(rate, { trustedProxies: [parseRange('127.0.0.2')] })
    await member(server, ...through('192.0.2.1'))
    await member(server, ...through('192.0.2.2'))
    await expect(member(server, ...through('192.0.2.3'))).rejects.toThrow()
    expect(server.log.entries.filter(({ fields }) => fields.proxy === '127.0.0.1')).toHaveLength(1)
  })

  test('strangers hold places by the address that is forwarded', async () => {
    const server = await start(small, trusted)
    const strangers = await Promise.all(
      Array.from({ length: 20 }, async () =>
        RawPeer.connect(server.url, await newIdentity(), nanoid(), socketFrom(...through('192.0.2.1'))),
      ),
    )
    await drops(server, 'gave way to another', 15)
    await member(server, ...through('192.0.2.1'))
    await member(server, ...through('192.0.2.2'))
    expect(strangers.filter(({ socket }) => socket.readyState === socket.OPEN)).toHaveLength(4)
  })
})
