/** Members that take all they can, with one identity and with many, and others beside them. */
import { afterEach, describe, expect, test } from '@jest/globals'
import { nanoid } from 'nanoid'
import { Quota } from '../signaling/quota.ts'
import { closeTestSignaling, newIdentity, type RawPeer, startTestSignaling } from './support/signaling.ts'
import { member } from './support/strangers.ts'

afterEach(closeTestSignaling)

const HOSTILE = '127.0.0.2'
const HONEST = '127.0.0.3'
const refused = (code: string) => ({ code, status: 1008 })

/** How many of the peers may do it. */
async function granted(
  peers: readonly RawPeer[],
  ask: (peer: RawPeer, at: number) => Promise<string>,
): Promise<number> {
  const answers: string[] = []
  for (const [at, peer] of peers.entries()) answers.push(await ask(peer, at))
  return answers.filter((answer) => answer === 'ok').length
}

describe('a quota', () => {
  const take = (quota: Quota, source: string, identity = `${Math.random()}`): boolean => {
    const fits = quota.hasRoomFor({ identity, source })
    if (fits) quota.take({ identity, source })
    return fits
  }
  const takeAll = (quota: Quota, source: string, identity?: string): number => {
    let taken = 0
    while (take(quota, source, identity)) taken++
    return taken
  }

  test('gives one identity so much', () => {
    expect(takeAll(new Quota(1000, 7), 'a', 'one')).toBe(7)
  })

  test('gives one address, with a thousand identities, half, and the next ones half of the rest', () => {
    const quota = new Quota(1000, 7)
    expect(['a', 'b', 'c'].map((source) => takeAll(quota, source))).toEqual([500, 250, 125])
  })

  test('has room for one more after 250 addresses took all they could in turn, and again when they gave it back', () => {
    const quota = new Quota(1000, 7)
    const sources = Array.from({ length: 250 }, (_, at) => String(at))
    const taken: string[] = []
    for (let before = -1; before < taken.length; ) {
      before = taken.length
      for (const source of sources) if (take(quota, source, source)) taken.push(source)
    }
    expect(take(quota, 'honest')).toBe(true)
    for (const source of taken) quota.give({ identity: source, source })
    expect(quota.held).toBe(1)
    expect(takeAll(quota, 'a')).toBe(500)
  })
})

test('connections: of one identity, and of many from one address', async () => {
  const server = await startTestSignaling({ limits: { signalingConnections: 10, connectionsPerIdentity: 2 } })
  const one = await newIdentity()
  const first = await member(server, HOSTILE, {}, one)
  await member(server, HOSTILE, {}, one)
  await expect(member(server, HOSTILE, {}, one)).rejects.toThrow('too-many-connections')
  for (let i = 0; i < 3; i++) await member(server, HOSTILE)
  await expect(member(server, HOSTILE)).rejects.toThrow('too-many-connections')
  await member(server, HONEST)
  // To connect anew takes no further place.
  await server.newPeer(one, first.peer)
  expect(await first.cutOff()).toEqual(refused('displaced'))
})

test('names that are served without being reserved', async () => {
  const server = await startTestSignaling({ limits: { ephemeralNames: 10, ephemeralPerIdentity: 3 } })
  const claim = (peer: RawPeer, at: number) =>
    peer.ask({ type: 'claim', name: `name-${peer.peer.length}-${at}`, ephemeral: true })
  const one = await member(server, HOSTILE)
  expect(await granted([one, one, one, one], claim)).toBe(3)
  const many = await Promise.all(Array.from({ length: 9 }, () => member(server, HOSTILE)))
  expect(await granted(many, (peer, at) => claim(peer, at + 10))).toBe(2)
  const honest = await member(server, HONEST)
  expect(await honest.ask({ type: 'claim', name: 'honest', ephemeral: true })).toBe('ok')
  expect(await honest.ask({ type: 'claim', name: 'honest', ephemeral: true })).toBe('ok')
  one.socket.terminate()
  await one.closed
  await honest.settled()
  // The two that they have, and three more.
  expect(await granted(many, (peer, at) => claim(peer, at + 10))).toBe(5)
})

test('names that are reserved: of one address in a time, and of one identity', async () => {
  const limits = { reservationsPerServer: 10, reservationsBurst: 8, reservationsPerHour: 0.001 }
  const server = await startTestSignaling({ limits })
  const reserve = (peer: RawPeer, at: number) => peer.ask({ type: 'reserve', name: `name-${at}`, mode: 'tcpTunnel' })
  const [one, other, honest] = [
    await member(server, HOSTILE),
    await member(server, HOSTILE),
    await member(server, HONEST),
  ]
  expect(await granted(Array(9).fill(one), reserve)).toBe(5)
  expect(await granted(Array(9).fill(other), (peer, at) => reserve(peer, at + 10))).toBe(3)
  expect(await other.ask({ type: 'release', name: 'name-10' })).toBe('ok')
  expect(await reserve(other, 20)).toBe('rate-limited')
  expect(await reserve(honest, 30)).toBe('ok')
})

test('watches', async () => {
  const server = await startTestSignaling({ limits: { watches: 10, watchesPerIdentity: 3 } })
  const watch = (peer: RawPeer, at: number) => peer.ask({ type: 'watch', name: `name-${at}` })
  const one = await member(server, HOSTILE)
  expect(await granted([one, one, one, one], watch)).toBe(3)
  expect(await watch(one, 0)).toBe('ok')
  const many = await Promise.all(Array.from({ length: 5 }, () => member(server, HOSTILE)))
  expect(await granted(many, watch)).toBe(2)
  const honest = await member(server, HONEST)
  expect(await watch(honest, 0)).toBe('ok')
  for (let i = 0; i < 2; i++) await one.ask({ type: 'unwatch', name: 'name-0' })
  expect(await watch(one, 5)).toBe('ok')
  one.socket.terminate()
  await one.closed
  await honest.settled()
  expect(await granted(many.slice(2), watch)).toBe(3)
})

test('followers: the console of the operator comes in', async () => {
  const server = await startTestSignaling({ limits: { followers: 10, followersPerIdentity: 2 } })
  const follow = (peer: RawPeer) => peer.ask({ type: 'follow' })
  const one = await newIdentity()
  const tabs = await Promise.all([1, 2, 3].map(() => member(server, HOSTILE, {}, one)))
  expect(await granted(tabs, follow)).toBe(2)
  const many = await Promise.all(Array.from({ length: 5 }, () => member(server, HOSTILE)))
  expect(await granted(many, follow)).toBe(3)
  expect(await follow(await member(server, HONEST))).toBe('ok')
})

test('sessions with one peer: others reach it', async () => {
  const server = await startTestSignaling({ limits: { sessionsPerConnection: 10, sessionsWithOne: 2 } })
  const victim = await member(server, HONEST)
  const open = async (peer: RawPeer) => {
    const session = nanoid()
    peer.send({ type: 'signal', session, to: victim.peer, owner: victim.identity.publicKey, box: 'AAAA' })
    await peer.settled()
    return peer.unread.some((message) => message.type === 'ended' && message.session === session) ? 'busy' : 'ok'
  }
  const one = await member(server, HOSTILE)
  expect(await granted([one, one, one], open)).toBe(2)
  const many = await Promise.all(Array.from({ length: 5 }, () => member(server, HOSTILE)))
  expect(await granted(many, open)).toBe(3)
  const till = await member(server, HONEST)
  expect(await open(till)).toBe('ok')
  one.socket.terminate()
  await victim.next('ended')
  await victim.next('ended')
  expect(await granted(many, open)).toBe(2)
})

test('sessions on the server', async () => {
  const server = await startTestSignaling({ limits: { sessions: 8, sessionsPerIdentity: 3 } })
  const [victim, one, other] = [
    await member(server, HONEST),
    await member(server, HOSTILE),
    await member(server, HOSTILE),
  ]
  const open = async (peer: RawPeer) => {
    const session = nanoid()
    peer.send({ type: 'signal', session, to: victim.peer, owner: victim.identity.publicKey, box: 'AAAA' })
    await peer.settled()
    return peer.unread.some((message) => message.type === 'ended' && message.session === session) ? 'busy' : 'ok'
  }
  expect(await granted([one, one, one, one], open)).toBe(3)
  expect(await granted([other, other], open)).toBe(1)
  expect(await open(await member(server, HONEST))).toBe('ok')
})

describe('messages', () => {
  test('of one identity on many connections: they are cut off, and its neighbour is not', async () => {
    const limits = { identityBurst: 100, identityMessagesPerSecond: 0.001, messagesAlwaysPerSecond: 0.001 }
    const server = await startTestSignaling({ limits })
    const identity = await newIdentity()
    const many = await Promise.all(Array.from({ length: 4 }, () => member(server, HOSTILE, {}, identity)))
    const neighbour = await member(server, HOSTILE)
    for (let i = 0; i < 150; i++) for (const peer of many) peer.send({ type: 'ping' })
    for (const peer of many) expect(await peer.cutOff()).toEqual(refused('rate-limited'))
    await neighbour.settled()
  })

  test('of many identities from one address: who sends little is not cut off, and others are free', async () => {
    const limits = { sourceBurst: 100, sourceMessagesPerSecond: 0.001, messagesAlwaysPerSecond: 0.001 }
    const server = await startTestSignaling({ limits })
    const neighbour = await member(server, HOSTILE)
    const many = await Promise.all(Array.from({ length: 4 }, () => member(server, HOSTILE)))
    for (let i = 0; i < 150; i++) for (const peer of many) peer.send({ type: 'ping' })
    for (const peer of many) expect(await peer.cutOff()).toEqual(refused('rate-limited'))
    for (let i = 0; i < 10; i++) await neighbour.settled()
    const honest = await member(server, HONEST)
    for (let i = 0; i < 50; i++) await honest.settled()
  })

  test('that the server sends because of a name count for who serves it', async () => {
    const server = await startTestSignaling({ limits: { identityBurst: 30, identityMessagesPerSecond: 0.001 } })
    const watchers = await Promise.all(Array.from({ length: 10 }, () => member(server, HONEST)))
    for (const watcher of watchers) await watcher.ask({ type: 'watch', name: 'pc1' })
    const flipping = await member(server, HOSTILE)
    const answers = []
    for (let i = 0; i < 4; i++) {
      const type = i % 2 === 0 ? ('claim' as const) : ('unclaim' as const)
      answers.push(
        await flipping.ask(type === 'claim' ? { type, name: 'pc1', ephemeral: true } : { type, name: 'pc1' }),
      )
    }
    expect(answers).toEqual(['ok', 'ok', 'ok', 'rate-limited'])
  })

  test('of a stranger are few', async () => {
    const server = await startTestSignaling({ limits: { messagesAlways: 3, messagesAlwaysPerSecond: 0.001 } })
    await member(server, HONEST)
    const stranger = await member(server, HOSTILE, {}, undefined, false)
    for (let i = 0; i < 4; i++) stranger.socket.ping()
    expect(await stranger.cutOff()).toEqual(refused('rate-limited'))
  })
})
