import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, test } from '@jest/globals'
import { nanoid } from 'nanoid'
import { randomBytes } from '../shared/crypto.ts'
import { deferred } from '../shared/deferred.ts'
import type { NearportError } from '../shared/errors.ts'
import type { Presence } from '../shared/messages.ts'
import type { SignalingClient } from '../shared/signaling-client.ts'
import { admitting, closeFakeServers, fakeServer } from './support/fake-signaling.ts'
import { closeTestSignaling, collectingLog, newIdentity, startTestSignaling } from './support/signaling.ts'

afterEach(async () => {
  await closeTestSignaling()
  await closeFakeServers()
})

/** Presences in the order they come; each can be waited for. */
function presences() {
  const seen: Presence[] = []
  let news = deferred<void>()
  return {
    take: (presence: Presence) => {
      seen.push(presence)
      news.resolve()
      news = deferred()
    },
    next: async (): Promise<Presence> => {
      for (;;) {
        const presence = seen.shift()
        if (presence !== undefined) return presence
        await news.promise
      }
    },
    seen,
  }
}

const state = (client: SignalingClient, wanted: boolean): Promise<void> =>
  new Promise((resolve) => {
    client.onstate = (connected) => {
      if (connected === wanted) resolve()
    }
  })

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no address')
  return address.port
}

describe('start', () => {
  test('connects, and knows where STUN is', async () => {
    const { newClient, server } = await startTestSignaling()
    const client = await newClient()
    expect(client.connected).toBe(false)
    expect(client.stunUrl()).toBeNull()
    await client.start()
    expect(client.connected).toBe(true)
    expect(client.stunUrl()).toBe(`stun:127.0.0.1:${server.stunPort}`)
  })

  const withIPv6 = Object.values(networkInterfaces()).some((of) => of?.some(({ address }) => address === '::1'))
  ;(withIPv6 ? test : test.skip)('puts brackets around an IPv6 address', async () => {
    const { server, newClient } = await startTestSignaling({ host: '::1' })
    const client = await newClient()
    await client.start()
    expect(client.stunUrl()).toBe(`stun:[::1]:${server.stunPort}`)
  })

  test('rejects when no server is there, or something else', async () => {
    const { newClient } = await startTestSignaling()
    const nobody = await newClient(undefined, { url: `http://127.0.0.1:${await freePort()}/` })
    await expect(nobody.start()).rejects.toMatchObject({ code: 'server-unreachable' })
    const silent = await fakeServer(() => undefined)
    const waiting = await newClient(undefined, { url: silent, limits: { admissionDeadline: 50 } })
    await expect(waiting.start()).rejects.toMatchObject({ code: 'server-unreachable' })
  })

  test('rejects with a wrong key, also with retry', async () => {
    const { newClient } = await startTestSignaling()
    for (const retry of [false, true]) {
      const client = await newClient(undefined, { networkKey: randomBytes(32) })
      await expect(client.start({ retry })).rejects.toMatchObject({ code: 'admission-refused' })
    }
  })

  test('with retry waits for a server to come', async () => {
    const { newClient, networkKey } = await startTestSignaling()
    const port = await freePort()
    const log = collectingLog()
    const client = await newClient(undefined, { url: `http://127.0.0.1:${port}/`, log, random: () => 0 })
    const started = client.start({ retry: true })
    while (log.entries.length === 0) await new Promise((resolve) => setImmediate(resolve))
    await startTestSignaling({ networkKey, port })
    await started
    expect(log.entries[0]).toMatchObject({ level: 'warn', fields: { code: 'server-unreachable' } })
  })

  test('rejects when the client is closed meanwhile', async () => {
    const { newClient } = await startTestSignaling()
    const client = await newClient(undefined, { url: `http://127.0.0.1:${await freePort()}/` })
    const started = client.start({ retry: true })
    await Promise.all([expect(started).rejects.toMatchObject({ code: 'server-unreachable' }), client.close()])
  })
})

describe('requests', () => {
  test('reserve, claim, list, release, and are refused with a code', async () => {
    const { newClient } = await startTestSignaling()
    const [owner, other] = [await newClient(), await newClient()]
    await Promise.all([owner.start(), other.start()])
    await owner.reserve('pc1')
    await expect(other.reserve('pc1')).rejects.toMatchObject({ code: 'name-taken', exitStatus: 2 })
    await expect(other.claim('pc1', { ephemeral: false })).rejects.toMatchObject({ code: 'not-owner' })
    await owner.claim('pc1', { ephemeral: false })
    expect(await other.list()).toMatchObject([{ name: 'pc1', online: true, reserved: true }])
    await owner.unclaim('pc1')
    await owner.release('pc1')
    expect(await other.list()).toEqual([])
  })

  test('more than the server takes at once are spread, not cut off', async () => {
    const { newClient } = await startTestSignaling({ limits: { signalingBurst: 40, signalingMessagesPerSecond: 400 } })
    const client = await newClient(undefined, { limits: { signalingBurst: 40, signalingMessagesPerSecond: 400 } })
    await client.start()
    await Promise.all(Array.from({ length: 200 }, (_, index) => client.reserve(`printer-${index}`)))
    expect(client.connected).toBe(true)
  })

  test('time out, and throw without a connection', async () => {
    const { newClient, networkKey } = await startTestSignaling()
    const url = await admitting(networkKey, () => undefined)
    const identity = await newIdentity()
    const client = await newClient(identity, { url, limits: { requestDeadline: 50 } })
    await expect(client.list()).rejects.toMatchObject({ code: 'server-unreachable' })
    expect(() => client.signal(nanoid(), { peer: nanoid(), identity: identity.publicKey }, 'AA')).toThrow(
      expect.objectContaining({ code: 'server-unreachable' }),
    )
    client.end(nanoid())
    await client.unclaim('pc1')
    await client.start()
    await expect(client.list()).rejects.toMatchObject({ code: 'server-timeout' })
  })

  test('in flight when the connection is lost reject', async () => {
    const { newClient, networkKey } = await startTestSignaling()
    const url = await admitting(networkKey, (_message, socket) => socket.terminate())
    const client = await newClient(undefined, { url })
    await client.start()
    await expect(client.reserve('pc1')).rejects.toMatchObject({ code: 'server-unreachable' })
  })
})

describe('sessions', () => {
  test('carry signals there and back, and end', async () => {
    const { newClient } = await startTestSignaling()
    const peers = [nanoid(), nanoid()] as const
    const [identity, other] = [await newIdentity(), await newIdentity()]
    const [a, b] = [await newClient(identity, { peer: peers[0] }), await newClient(other, { peer: peers[1] })]
    await Promise.all([a.start(), b.start()])
    const session = nanoid()
    const arrived = deferred<string>()
    const ended = deferred<string>()
    b.onsignal = ({ session, from, owner, box }) => {
      expect({ from, owner, box }).toEqual({ from: peers[0], owner: identity.publicKey, box: 'AAAA' })
      b.signal(session, { peer: from, identity: owner }, 'BBBB')
    }
    a.onsignal = ({ box }) => arrived.resolve(box)
    b.onended = ({ session, code }) => ended.resolve(`${session} ${code}`)
    a.signal(session, { peer: peers[1], identity: other.publicKey }, 'AAAA')
    expect(await arrived.promise).toBe('BBBB')
    a.end(session)
    expect(await ended.promise).toBe(`${session} peer-gone`)
  })
})

describe('after a restart of the server', () => {
  test('names are served and watched as before', async () => {
    const first = await startTestSignaling()
    const [owner, watcher] = [await first.newClient(), await first.newClient()]
    await Promise.all([owner.start(), watcher.start()])
    await owner.reserve('pc1')
    await owner.claim('pc1', { ephemeral: false })
    await owner.claim('now-1', { ephemeral: true })
    const [reserved, ephemeral] = [presences(), presences()]
    await watcher.watch('pc1', reserved.take)
    await watcher.watch('now-1', ephemeral.take)
    expect(await reserved.next()).toMatchObject({ state: 'online' })
    expect(await ephemeral.next()).toMatchObject({ state: 'online' })
    const lost = Promise.all([state(owner, false), state(watcher, false)])
    const restarted = first.restart()
    await lost
    for (const one of [reserved, ephemeral]) {
      // Which of the two comes back first is open: the watcher may see the name without its server for a while.
      let presence = await one.next()
      while (presence.state !== 'online') presence = await one.next()
      expect(presence.owner).toMatch(/^[\w-]{43}$/)
    }
    await restarted
  })

  test('a name that someone else has by now is reported', async () => {
    const first = await startTestSignaling({ limits: { nameHold: 0 } })
    const client = await first.newClient(undefined, { random: () => 1 })
    await client.start()
    await client.claim('pc1', { ephemeral: true })
    const displaced = new Promise<[string, NearportError]>((resolve) => {
      client.ondisplaced = (name, reason) => resolve([name, reason])
    })
    const lost = state(client, false)
    const restarting = first.restart()
    await lost
    const second = await restarting
    const thief = await second.newPeer()
    // The client may have been faster: then its name is safe, and there is nothing to report.
    const answer = await thief.ask({ type: 'claim', name: 'pc1', ephemeral: true })
    if (answer === 'ok') expect(await displaced).toMatchObject(['pc1', { code: 'name-taken' }])
    else expect(answer).toBe('name-taken')
  })

  test('a newer process of the same identity displaces the older one, for good', async () => {
    const { newClient } = await startTestSignaling()
    const identity = await newIdentity()
    const [older, newer] = [await newClient(identity), await newClient(identity)]
    await Promise.all([older.start(), newer.start()])
    await older.claim('pc1', { ephemeral: true })
    const displaced = new Promise<[string, NearportError]>((resolve) => {
      older.ondisplaced = (name, reason) => resolve([name, reason])
    })
    await newer.claim('pc1', { ephemeral: true })
    expect(await displaced).toMatchObject(['pc1', { code: 'displaced' }])
  })

  test('a key that no longer fits is logged as an error, and tried on', async () => {
    const first = await startTestSignaling()
    const log = collectingLog()
    const client = await first.newClient(undefined, { log, limits: { reconnectMost: 10 }, random: () => 0 })
    await client.start()
    await first.server.close()
    const other = await startTestSignaling({ port: first.server.port })
    while (!log.entries.some(({ level }) => level === 'error')) await new Promise((resolve) => setImmediate(resolve))
    expect(log.entries.filter(({ level }) => level === 'error')).toMatchObject([
      { fields: { code: 'admission-refused', delay: 10 } },
    ])
    const back = state(client, true)
    await other.server.close()
    await startTestSignaling({ port: first.server.port, networkKey: first.networkKey })
    await back
  })
})

describe('a server that misbehaves', () => {
  test.each([
    ['no JSON', 'x'],
    ['an unknown field', '{"type":"pong","x":1}'],
    ['a second admission', `{"type":"admitted","proof":"${'A'.repeat(43)}","stunPort":null}`],
  ])('is left: %s', async (_what, text) => {
    const { newClient, networkKey } = await startTestSignaling()
    const url = await admitting(networkKey, (_message, socket) => socket.send(text))
    const log = collectingLog()
    const client = await newClient(undefined, { url, log })
    await client.start()
    await expect(client.list()).rejects.toMatchObject({ code: 'server-unreachable' })
    expect(log.entries.map(({ fields }) => fields.code)).toContain('message-malformed')
  })

  test('is left when it falls silent', async () => {
    const { newClient, networkKey } = await startTestSignaling()
    const url = await admitting(networkKey, () => undefined)
    const client = await newClient(undefined, { url, limits: { signalingSilence: 60, signalingPing: 20 } })
    const lost = state(client, false)
    await client.start()
    await lost
  })

  test('cannot steer the terminal its words are shown on', async () => {
    const { newClient, networkKey } = await startTestSignaling()
    const url = await admitting(networkKey, ({ request }, socket) => {
      socket.send(JSON.stringify({ type: 'refused', request, code: 'name-taken', message: '\u001b[2Jgone\r\n' }))
    })
    const client = await newClient(undefined, { url })
    await client.start()
    await expect(client.reserve('pc1')).rejects.toMatchObject({ code: 'name-taken', message: '\ufffd[2Jgone  ' })
  })
})
