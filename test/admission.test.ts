/** Admission against who sits in between: a server of another network that relays, and whoever alters what is said. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { nanoid } from 'nanoid'
import { WebSocket, WebSocketServer } from 'ws'
import { toBase64Url } from '../shared/bytes.ts'
import { admissionTranscript, admissionVerifier, Identity, MacKey, networkId, randomBytes } from '../shared/crypto.ts'
import { isSoundPublicKey } from '../shared/ed25519.ts'
import { socketUrl } from '../shared/invite.ts'
import { LIMITS } from '../shared/limits.ts'
import { Store } from '../signaling/store.ts'
import { closeFakeServers, fakeServer } from './support/fake-signaling.ts'
import {
  closeTestSignaling,
  collectingLog,
  newIdentity,
  RawPeer,
  startTestSignaling,
  type TestSignaling,
  temporaryFolder,
} from './support/signaling.ts'

const middlemen: WebSocketServer[] = []
afterEach(async () => {
  await closeTestSignaling()
  await closeFakeServers()
  for (const server of middlemen.splice(0)) server.close()
})

type Change = (message: Record<string, unknown>) => Record<string, unknown> | Promise<Record<string, unknown>>

/** Carries what is said to and from a server, changed; returns where, and all that the server said. */
async function between(target: TestSignaling, up: Change, down: Change = (message) => message) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  middlemen.push(server)
  await once(server, 'listening')
  const told: Record<string, unknown>[] = []
  const changed = async (data: object, change: Change) => {
    const message = JSON.parse(String(data))
    const next = await change(message)
    // What is not changed keeps its bytes.
    return next === message ? String(data) : JSON.stringify(next)
  }
  server.on('connection', (near) => {
    const far = new WebSocket(socketUrl(target.url))
    const open = once(far, 'open')
    near.on('message', async (data) => {
      await open
      far.send(await changed(data, up))
    })
    far.on('message', async (data) => {
      told.push(JSON.parse(String(data)))
      near.send(await changed(data, down))
    })
    near.on('close', () => far.close())
    far.on('close', () => near.close())
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, told }
}

test('a server of another network cannot act here as who connects to it', async () => {
  const target = await startTestSignaling()
  const owner = await target.newPeer()
  expect(await owner.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })).toBe('ok')

  // Whoever runs it is a member here as well, and makes the proof of this network's key himself.
  let said = ['', '']
  const verifier = await admissionVerifier(target.networkKey)
  const key = await MacKey.import(verifier)
  const forge: Change = async (message) => {
    if (message.type === 'hello') said = [JSON.stringify(message), '']
    if (message.type !== 'admit') return message
    const transcript = admissionTranscript(await networkId(verifier), said[0] ?? '', said[1] ?? '')
    return { ...message, proof: toBase64Url(await key.sign(transcript)) }
  }
  const keep: Change = (message) => {
    if (message.type === 'challenge') said[1] = JSON.stringify(message)
    return message
  }
  const rogue = await between(target, forge, keep)
  const victim = await target.newClient(owner.identity, { url: rogue.url, networkKey: randomBytes(32) })
  await expect(victim.start()).rejects.toMatchObject({ code: 'admission-refused' })
  expect(rogue.told.map(({ type }) => type)).toEqual(['challenge', 'refused'])
})

test('who answers instead of the server, without the key, is refused', async () => {
  const target = await startTestSignaling()
  const admitAll: Change = (message) =>
    message.type === 'refused' ? { type: 'admitted', proof: toBase64Url(randomBytes(32)), stunPort: null } : message
  const liar = await between(
    target,
    (message) => (message.type === 'admit' ? { ...message, proof: toBase64Url(randomBytes(32)) } : message),
    admitAll,
  )
  const victim = await target.newClient(undefined, { url: liar.url })
  await expect(victim.start()).rejects.toMatchObject({ code: 'proof-refused', exitStatus: 2 })
})

describe('nobody in between lowers or strips what the two can do', () => {
  const only =
    (type: string, change: object): Change =>
    (message) =>
      message.type === type ? { ...message, ...change } : message
  const same: Change = (message) => message

  test.each([
    ['the versions of the peer', only('hello', { least: 1 }), same],
    ['the capabilities of the peer', only('hello', { capabilities: ['less'] }), same],
    ['a field of the peer that the server does not know', only('hello', { later: true }), same],
    ['the versions of the server', same, only('challenge', { least: 1 })],
    ['the capabilities of the server', same, only('challenge', { capabilities: ['less'] })],
    ['a field of the server that the peer does not know', same, only('challenge', { later: true })],
  ])('%s', async (_, up, down) => {
    const target = await startTestSignaling()
    const { url } = await between(target, up, down)
    const victim = await target.newClient(undefined, { url })
    await expect(victim.start()).rejects.toMatchObject({ code: 'admission-refused' })
  })

  test('and what is not altered passes', async () => {
    const target = await startTestSignaling()
    const { url } = await between(target, same)
    await (await target.newClient(undefined, { url })).start()
  })
})

describe('versions', () => {
  test.each([
    ['a peer of version 2', { version: 2, least: undefined, capabilities: undefined, nonce: undefined }, 'peer'],
    ['an older peer', { version: 2, least: 1 }, 'peer'],
    ['a newer peer', { version: 9, least: 8 }, 'server'],
    ['a peer that speaks no version', { least: 9 }, 'server'],
  ])('%s is refused, and told whom to update', async (_, change, whom) => {
    const { url } = await startTestSignaling()
    const peer = await RawPeer.connect(url, await newIdentity())
    await peer.hello(change)
    await peer.closed
    expect(peer.unread).toEqual([expect.objectContaining({ type: 'refused', request: null, code: 'version-mismatch' })])
    expect(JSON.stringify(peer.unread)).toMatch(new RegExp(`update the ${whom}"`))
  })

  test('a newer peer that also speaks this version is admitted, with what it knows beside', async () => {
    const { url, networkKey } = await startTestSignaling()
    const peer = await RawPeer.connect(url, await newIdentity())
    await peer.admit(networkKey, { version: 9, capabilities: ['telepathy'], later: { than: 'this' } })
  })

  test.each([
    ['a capability that is none', { capabilities: ['No Capability'] }],
    ['too many capabilities', { capabilities: Array.from({ length: 65 }, (_, at) => `c${at}`) }],
    ['a version beyond the last', { version: 65_536 }],
    ['no nonce', { nonce: undefined }],
    ['more than a server keeps for a stranger', { later: 'x'.repeat(LIMITS.helloChars) }],
  ])('%s is malformed', async (_, change) => {
    const { url } = await startTestSignaling()
    const peer = await RawPeer.connect(url, await newIdentity())
    await peer.hello(change)
    expect(await peer.cutOff()).toMatchObject({ code: 'message-malformed' })
  })

  test('a server of version 2 is named as what is to be updated', async () => {
    // Word for word what it answers.
    const refusal = { type: 'refused', request: null, code: 'message-malformed' }
    const message = 'a peer sent a message that has a bad least'
    const url = await fakeServer((_hello, socket) => {
      socket.send(JSON.stringify({ ...refusal, message }))
      socket.close(1008, 'message-malformed')
    })
    const { newClient } = await startTestSignaling()
    const client = await newClient(undefined, { url })
    await expect(client.start()).rejects.toMatchObject({
      code: 'version-mismatch',
      message: expect.stringContaining('update the server'),
    })
  })
})

describe("identities that are nobody's", () => {
  const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))
  const edges = (byte: string, rest: string, last: string) => hex(byte + rest.repeat(30) + last)
  const weak = [
    edges('00', '00', '00'),
    edges('00', '00', '80'),
    edges('01', '00', '00'),
    edges('01', '00', '80'),
    edges('ec', 'ff', '7f'),
    edges('ec', 'ff', 'ff'),
    // Other ways to write 0 and 1.
    edges('ed', 'ff', '7f'),
    edges('ed', 'ff', 'ff'),
    edges('ee', 'ff', '7f'),
    edges('ee', 'ff', 'ff'),
    hex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'),
    hex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85'),
    hex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'),
    hex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa'),
  ]

  test('are known, and no others', async () => {
    expect(weak.filter(isSoundPublicKey)).toEqual([])
    expect(isSoundPublicKey(edges('ff', 'ff', '7f'))).toBe(false)
    expect(isSoundPublicKey(edges('ec', 'ff', '7e'))).toBe(true)
    expect(isSoundPublicKey(edges('03', '00', '00'))).toBe(true)
    expect(isSoundPublicKey(new Uint8Array(31).fill(3))).toBe(false)
    for (let n = 0; n < 100; n++) {
      const { identity } = await Identity.generate()
      expect(isSoundPublicKey(new Uint8Array(Buffer.from(identity.publicKey, 'base64url')))).toBe(true)
    }
  })

  test('are not admitted, though everybody can sign for them', async () => {
    const { url, networkKey } = await startTestSignaling()
    // Of order 1: R = O and s = 0 fit every message.
    const signature = new Uint8Array(64)
    signature[0] = 1
    for (const publicKey of weak.map(toBase64Url)) {
      const nobody = Object.assign(await newIdentity(), { publicKey, sign: async () => signature })
      const peer = await RawPeer.connect(url, nobody, nanoid())
      await expect(peer.admit(networkKey)).rejects.toThrow()
      expect(await peer.cutOff()).toMatchObject({ code: 'message-malformed' })
    }
  })

  test('lose the names that an earlier version let them reserve', async () => {
    const dataDir = await temporaryFolder()
    const store = await Store.open({ folder: dataDir, log: collectingLog() })
    await store.begin(await admissionVerifier(new Uint8Array(32)))
    await store.put('pc1', { owner: `AQ${'A'.repeat(41)}`, mode: 'tcpTunnel' })
    await store.close()
    const { newPeer, log } = await startTestSignaling({ dataDir, networkKey: new Uint8Array(32) })
    expect(log.entries).toContainEqual(
      expect.objectContaining({ level: 'warn', fields: expect.objectContaining({ name: 'pc1' }) }),
    )
    expect(await (await newPeer()).ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })).toBe('ok')
  })
})
