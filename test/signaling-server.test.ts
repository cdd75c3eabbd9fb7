import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { afterEach, describe, expect, test } from '@jest/globals'
import { nanoid } from 'nanoid'
import { randomBytes } from '../shared/crypto.ts'
import { parseInvite } from '../shared/invite.ts'
import { LIMITS } from '../shared/limits.ts'
import { PROTOCOL_VERSION } from '../shared/versions.ts'
import { startSignaling } from '../signaling/server.ts'
import {
  closeTestSignaling,
  collectingLog,
  newIdentity,
  RawPeer,
  startTestSignaling,
  temporaryFolder,
} from './support/signaling.ts'

afterEach(closeTestSignaling)

const connect = async (url: string) => RawPeer.connect(url, await newIdentity())
const refused = (code: string) => ({ code, status: 1008 })

describe('admission', () => {
  test('admits a peer with the key and its identity, and tells it the STUN port', async () => {
    const { url, networkKey, server } = await startTestSignaling()
    const peer = await connect(url)
    expect((await peer.admit(networkKey)).stunPort).toBe(server.stunPort)
  })

  test('refuses another key', async () => {
    const { url } = await startTestSignaling()
    const peer = await connect(url)
    await expect(peer.admit(randomBytes(32))).rejects.toThrow()
    expect(await peer.cutOff()).toEqual(refused('admission-refused'))
  })

  test('refuses an identity that the peer cannot sign for', async () => {
    const { url, networkKey } = await startTestSignaling()
    const peer = await connect(url)
    await peer.hello()
    await peer.next('challenge')
    peer.send((await peer.application(networkKey, await newIdentity())).admit)
    expect(await peer.cutOff()).toEqual(refused('admission-refused'))
  })

  test('refuses an identity that is no point of the curve', async () => {
    const { url, networkKey } = await startTestSignaling()
    const publicKey = 'AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    const peer = await RawPeer.connect(url, Object.assign(await newIdentity(), { publicKey }))
    await expect(peer.admit(networkKey)).rejects.toThrow()
    expect(await peer.cutOff()).toEqual(refused('admission-refused'))
  })

  test('refuses the proof of an earlier connection', async () => {
    const { url, networkKey } = await startTestSignaling()
    const first = await connect(url)
    await first.hello()
    await first.next('challenge')
    const { admit } = await first.application(networkKey)
    first.send(admit)
    await first.next('admitted')
    const second = await RawPeer.connect(url, first.identity, first.peer)
    await second.hello()
    await second.next('challenge')
    second.send(admit)
    expect(await second.cutOff()).toEqual(refused('admission-refused'))
    await first.settled()
  })

  test('refuses another version', async () => {
    const { url } = await startTestSignaling()
    const peer = await connect(url)
    await peer.hello({ version: PROTOCOL_VERSION + 1, least: PROTOCOL_VERSION + 1 })
    expect(await peer.cutOff()).toEqual(refused('version-mismatch'))
  })

  test('refuses everything else before it, and a second hello after it', async () => {
    const { url, newPeer } = await startTestSignaling()
    const stranger = await connect(url)
    stranger.send({ type: 'list', request: 1 })
    expect(await stranger.cutOff()).toEqual(refused('message-malformed'))
    const member = await newPeer()
    await member.hello()
    expect(await member.cutOff()).toEqual(refused('message-malformed'))
  })

  test('ends for who does not finish it', async () => {
    const { url } = await startTestSignaling({ limits: { admissionDeadline: 50 } })
    const peer = await connect(url)
    await peer.hello()
    expect(await peer.cutOff()).toEqual(refused('server-timeout'))
  })

  test('the newest connection of a peer replaces the older one; the same id of another identity is another peer', async () => {
    const { newPeer } = await startTestSignaling()
    const older = await newPeer()
    const newer = await newPeer(older.identity, older.peer)
    expect(await older.cutOff()).toEqual(refused('displaced'))
    const stranger = await newPeer(await newIdentity(), newer.peer)
    await newer.settled()
    await stranger.settled()
  })
})

describe('names', () => {
  test('belong to the identity that reserved them', async () => {
    const { newPeer } = await startTestSignaling()
    const [owner, other] = [await newPeer(), await newPeer()]
    expect(await owner.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })).toBe('ok')
    expect(await owner.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })).toBe('ok')
    expect(await other.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })).toBe('name-taken')
    expect(await other.ask({ type: 'claim', name: 'pc1', ephemeral: false })).toBe('not-owner')
    expect(await other.ask({ type: 'claim', name: 'pc1', ephemeral: true })).toBe('name-taken')
    expect(await other.ask({ type: 'release', name: 'pc1' })).toBe('not-owner')
    expect(await owner.ask({ type: 'claim', name: 'pc1', ephemeral: false })).toBe('ok')
    expect(await owner.ask({ type: 'release', name: 'pc1' })).toBe('ok')
    expect(await owner.ask({ type: 'release', name: 'pc1' })).toBe('name-unknown')
    expect(await other.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })).toBe('ok')
  })

  test('of two reservations at the same time one is made', async () => {
    const { newPeer } = await startTestSignaling()
    const peers = await Promise.all([newPeer(), newPeer(), newPeer()])
    const answers = await Promise.all(
      peers.map((peer) => peer.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })),
    )
    expect(answers.sort()).toEqual(['name-taken', 'name-taken', 'ok'])
  })

  test('ephemeral ones exist while they are served', async () => {
    const { newPeer } = await startTestSignaling()
    const [owner, other] = [await newPeer(), await newPeer()]
    expect(await owner.ask({ type: 'claim', name: 'pc1', ephemeral: false })).toBe('name-unknown')
    expect(await owner.ask({ type: 'claim', name: 'pc1', ephemeral: true })).toBe('ok')
    expect(await other.ask({ type: 'claim', name: 'pc1', ephemeral: true })).toBe('name-taken')
    expect(await other.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })).toBe('name-taken')
    expect(await owner.ask({ type: 'unclaim', name: 'pc1' })).toBe('ok')
    expect(await other.ask({ type: 'claim', name: 'pc1', ephemeral: true })).toBe('ok')
  })

  test('the newest claim of an identity wins, and the older connection is told', async () => {
    const { newPeer } = await startTestSignaling()
    const identity = await newIdentity()
    const [older, newer, watcher] = [await newPeer(identity), await newPeer(identity), await newPeer()]
    await older.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })
    await older.ask({ type: 'claim', name: 'pc1', ephemeral: false })
    await watcher.ask({ type: 'watch', name: 'pc1' })
    expect(await watcher.next('presence')).toMatchObject({ state: 'online', peer: older.peer })
    expect(await newer.ask({ type: 'claim', name: 'pc1', ephemeral: false })).toBe('ok')
    expect(await older.next('displaced')).toEqual({ type: 'displaced', name: 'pc1' })
    expect(await watcher.next('presence')).toMatchObject({ state: 'online', peer: newer.peer })
    // The older one no longer has a say.
    expect(await older.ask({ type: 'unclaim', name: 'pc1' })).toBe('ok')
    older.socket.close()
    await older.closed
    await watcher.settled()
    expect(watcher.unread).toEqual([])
  })

  test('presence follows from unknown to offline to online and back', async () => {
    const { newPeer } = await startTestSignaling()
    const [owner, watcher] = [await newPeer(), await newPeer()]
    const nobody = { type: 'presence', name: 'pc1', state: 'unknown', peer: null, owner: null }
    const offline = { ...nobody, state: 'offline', owner: owner.identity.publicKey }
    const online = { ...offline, state: 'online', peer: owner.peer }
    expect(await watcher.ask({ type: 'watch', name: 'pc1' })).toBe('ok')
    expect(await watcher.next('presence')).toEqual(nobody)
    await owner.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })
    expect(await watcher.next('presence')).toEqual(offline)
    await owner.ask({ type: 'claim', name: 'pc1', ephemeral: false })
    expect(await watcher.next('presence')).toEqual(online)
    owner.socket.terminate()
    expect(await watcher.next('presence')).toEqual(offline)
    await watcher.ask({ type: 'unwatch', name: 'pc1' })
    const returned = await newPeer(owner.identity)
    await returned.ask({ type: 'claim', name: 'pc1', ephemeral: false })
    await watcher.settled()
    expect(watcher.unread).toEqual([])
  })

  test('release takes the name from who serves it', async () => {
    const { newPeer } = await startTestSignaling()
    const identity = await newIdentity()
    const [server, owner, watcher] = [await newPeer(identity), await newPeer(identity), await newPeer()]
    await owner.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })
    await server.ask({ type: 'claim', name: 'pc1', ephemeral: false })
    await watcher.ask({ type: 'watch', name: 'pc1' })
    await watcher.next('presence')
    expect(await owner.ask({ type: 'release', name: 'pc1' })).toBe('ok')
    expect(await server.next('displaced')).toEqual({ type: 'displaced', name: 'pc1' })
    expect(await watcher.next('presence')).toMatchObject({ state: 'unknown', peer: null, owner: null })
  })

  test('the list has reserved and ephemeral names, in parts that stay under the message size', async () => {
    const { newPeer, newClient } = await startTestSignaling()
    const owner = await newPeer()
    const names = Array.from({ length: 230 }, (_, index) => `${'long-'.repeat(11)}${String(index).padStart(4, '0')}`)
    await Promise.all(names.map((name) => owner.ask({ type: 'reserve', name, mode: 'tcpTunnel' })))
    await owner.ask({ type: 'claim', name: names[0] ?? '', ephemeral: false })
    await owner.ask({ type: 'claim', name: 'pc-now', ephemeral: true })
    const parts: number[] = []
    owner.socket.on('message', (data) => parts.push(data.toString().length))
    expect(await owner.ask({ type: 'list' })).toBe('ok')
    expect(Math.max(...parts)).toBeLessThan(LIMITS.signalingMessageBytes)
    const client = await newClient()
    await client.start()
    const shares = await client.list()
    expect(shares.map(({ name }) => name).sort()).toEqual([...names, 'pc-now'].sort())
    const offline = { mode: 'tcpTunnel', owner: owner.identity.publicKey, online: false, peer: null, health: null }
    const online = { ...offline, online: true, peer: owner.peer }
    expect(shares).toContainEqual({ ...online, name: 'pc-now', reserved: false })
    expect(shares).toContainEqual({ ...online, name: names[0], reserved: true })
    expect(shares).toContainEqual({ ...offline, name: names[1], reserved: true })
  })
})

describe('sessions', () => {
  const box = 'c2VhbGVk'
  const signal = (session: string, { peer, identity }: Pick<RawPeer, 'peer' | 'identity'>) =>
    ({ type: 'signal', session, to: peer, owner: identity.publicKey, box }) as const

  test('carry signals between exactly two peers', async () => {
    const { newPeer } = await startTestSignaling()
    const [a, b, stranger] = [await newPeer(), await newPeer(), await newPeer()]
    const session = nanoid()
    a.send(signal(session, b))
    expect(await b.next('signal')).toEqual({ type: 'signal', session, from: a.peer, owner: a.identity.publicKey, box })
    b.send(signal(session, a))
    expect(await a.next('signal')).toEqual({ type: 'signal', session, from: b.peer, owner: b.identity.publicKey, box })

    for (const to of [a, b, stranger]) {
      stranger.send(signal(session, to))
      expect(await stranger.next('ended')).toEqual({ type: 'ended', session, code: 'peer-gone' })
    }
    stranger.send({ type: 'end', session })
    await stranger.settled()
    await a.settled()
    await b.settled()
    expect([...a.unread, ...b.unread]).toEqual([])
    a.send(signal(session, b))
    await b.next('signal')
  })

  test('end when a member mixes up whom they are with', async () => {
    const { newPeer } = await startTestSignaling()
    const [a, b, c] = [await newPeer(), await newPeer(), await newPeer()]
    const session = nanoid()
    a.send(signal(session, b))
    await b.next('signal')
    a.send(signal(session, c))
    expect(await a.next('ended')).toMatchObject({ session })
    expect(await b.next('ended')).toMatchObject({ session })
    await c.settled()
    expect(c.unread).toEqual([])
  })

  test('end for the other side when one ends them, leaves, or was never there', async () => {
    const { newPeer } = await startTestSignaling()
    const [a, b] = [await newPeer(), await newPeer()]
    const [first, second] = [nanoid(), nanoid()]
    a.send(signal(first, b))
    a.send(signal(second, b))
    b.send({ type: 'end', session: first })
    expect(await a.next('ended')).toEqual({ type: 'ended', session: first, code: 'peer-gone' })
    await b.next('signal')
    await b.next('signal')
    b.socket.terminate()
    expect(await a.next('ended')).toEqual({ type: 'ended', session: second, code: 'peer-gone' })
    for (const to of [b, a, { peer: nanoid(), identity: b.identity }]) {
      a.send(signal(nanoid(), to))
      expect(await a.next('ended')).toMatchObject({ code: 'peer-gone' })
    }
  })

  test('are limited in number and forgotten when idle', async () => {
    const { newPeer } = await startTestSignaling({ limits: { sessionsPerConnection: 1, sessionIdle: 40 } })
    const [a, b] = [await newPeer(), await newPeer()]
    const open = async () => {
      const session = nanoid()
      a.send(signal(session, b))
      await a.settled()
      return a.unread.some((message) => message.type === 'ended') ? (await a.next('ended')).code : 'opened'
    }
    expect(await open()).toBe('opened')
    let answer = await open()
    while (answer === 'server-busy') answer = await open()
    expect(answer).toBe('opened')
  })
})

describe('the server', () => {
  test('shows its key once, keeps a verifier, and knows the key again', async () => {
    const dataDir = await temporaryFolder()
    const start = (networkKey?: ReturnType<typeof randomBytes>) =>
      startSignaling({ host: '127.0.0.1', port: 0, stunPort: null, dataDir, networkKey, log: collectingLog() })
    const first = await start()
    expect(first).toMatchObject({ firstStart: true, stunPort: null })
    const { networkKey, url } = parseInvite(first.invite ?? '')
    expect(url).toBe(`http://127.0.0.1:${first.port}/`)
    await expect(start()).rejects.toMatchObject({ code: 'store-locked' })
    await first.close()
    const second = await start()
    expect(second).toMatchObject({ firstStart: false, invite: null })
    await second.close()
    const third = await start(networkKey)
    expect(parseInvite(third.invite ?? '').networkKey).toEqual(networkKey)
    await third.close()
    await expect(start(randomBytes(32))).rejects.toMatchObject({ code: 'key-mismatch' })
  })

  test('a first start without a port does not use up the key', async () => {
    const { server } = await startTestSignaling()
    const dataDir = await temporaryFolder()
    const options = { host: '127.0.0.1', stunPort: null, dataDir, log: collectingLog() }
    await expect(startSignaling({ ...options, port: server.port })).rejects.toMatchObject({ code: 'listen-failed' })
    const next = await startSignaling({ ...options, port: 0 })
    expect(next.firstStart).toBe(true)
    expect(next.invite).not.toBeNull()
    await next.close()
  })

  test('tells its health, and nothing else over HTTP', async () => {
    const { url, newPeer } = await startTestSignaling()
    const peer = await newPeer()
    await peer.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })
    await peer.ask({ type: 'claim', name: 'pc1', ephemeral: false })
    await peer.ask({ type: 'claim', name: 'pc2', ephemeral: true })
    expect(await (await fetch(new URL('healthz', url))).json()).toEqual({ status: 'ok', peers: 1, names: 2 })
    for (const path of ['', 'v1/peer', 'v1', 'x']) expect((await fetch(new URL(path, url))).status).toBe(404)
  })

  test.each([
    ['v1', 'websocket'],
    ['v1/peer', 'other'],
  ])('upgrades nothing at /%s to %s', async (path, protocol) => {
    const { url } = await startTestSignaling()
    const headers = {
      connection: 'upgrade',
      upgrade: protocol,
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    }
    const [response] = (await once(get(new URL(path, url), { headers }), 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(400)
    response.resume()
    await once(response, 'close')
  })

  test('tells its peers when it stops, and does not wait for those that do not answer', async () => {
    const { newPeer, server } = await startTestSignaling({ limits: { stopDeadline: 50 } })
    const [peer, deaf] = [await newPeer(), await newPeer()]
    deaf.socket.pause()
    await server.close()
    expect(await peer.cutOff()).toEqual({ code: 'server-stopping', status: 1001 })
  })
})
