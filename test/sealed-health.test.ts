/** The health that a server keeps and cannot read: sealed, handed out, opened; and what a server might try with it. */
import { setImmediate as turn } from 'node:timers/promises'
import { jest } from '@jest/globals'
import { nanoid } from 'nanoid'
import { healthWords } from '../peer/commands/environment.ts'
import { fromBase64Url, toBase64Url, utf8 } from '../shared/bytes.ts'
import { healthContext, randomBytes, SEAL_BYTES, Sealer } from '../shared/crypto.ts'
import { HealthReports } from '../shared/health-reports.ts'
import { LIMITS } from '../shared/limits.ts'
import type { PeerNode } from '../shared/node.ts'
import { openHealth, sealHealth } from '../shared/sealed-health.ts'
import type { Health } from '../shared/status.ts'
import { silentLog } from './support/links.ts'
import { closeTestSignaling, type RawPeer, startTestSignaling } from './support/signaling.ts'

const NOW = 1_764_000_000_000
const up: Health = { state: 'up', code: null, sinceMs: 5000 }
const down: Health = { state: 'down', code: 'target-unreachable', sinceMs: 1 }
const newRef = () => ({ peer: nanoid(), identity: toBase64Url(randomBytes(32)) })
const peer = newRef()
const networkKey = randomBytes(32)

describe('a sealed health', () => {
  test('opens as what it was, with its age', async () => {
    const box = await sealHealth(networkKey, 'pc1', peer, up, NOW)
    const opened = { state: 'up', code: null, since: NOW - 5000, age: 3000 }
    expect(await openHealth(networkKey, 'pc1', peer, box, NOW + 3000)).toEqual(opened)
    expect(await openHealth(networkKey, 'pc1', peer, await sealHealth(networkKey, 'pc1', peer, down))).toMatchObject({
      state: 'down',
      code: 'target-unreachable',
    })
  })

  test('says nothing by its length, and never looks the same twice', async () => {
    const states: Health[] = [up, up, down, { state: 'unknown', code: null, sinceMs: 2 ** 40 }]
    const boxes = await Promise.all(states.map((health) => sealHealth(networkKey, 'pc1', peer, health)))
    expect(new Set(boxes.map((box) => fromBase64Url(box)?.length))).toEqual(new Set([LIMITS.healthBytes + SEAL_BYTES]))
    expect(new Set(boxes).size).toBe(4)
  })
})

describe('a malicious server', () => {
  test('cannot pass off what is not of this name and process as its health', async () => {
    const box = await sealHealth(networkKey, 'pc1', peer, up, NOW)
    const bytes = fromBase64Url(box) ?? new Uint8Array()
    const altered = bytes.map((byte, at) => (at === 20 ? byte ^ 1 : byte))
    const stranger = randomBytes(32)
    const unreadable = { state: 'unreadable' }
    expect(await openHealth(networkKey, 'pc2', peer, box, NOW)).toEqual(unreadable)
    expect(await openHealth(networkKey, 'pc1', newRef(), box, NOW)).toEqual(unreadable)
    for (const part of [{ peer: nanoid() }, { identity: newRef().identity }]) {
      expect(await openHealth(networkKey, 'pc1', { ...peer, ...part }, box, NOW)).toEqual(unreadable)
    }
    expect(await openHealth(networkKey, 'pc1', peer, toBase64Url(altered), NOW)).toEqual(unreadable)
    expect(await openHealth(stranger, 'pc1', peer, box, NOW)).toEqual(unreadable)
    expect(await openHealth(networkKey, 'pc1', peer, await sealHealth(stranger, 'pc1', peer, up, NOW), NOW)).toEqual(
      unreadable,
    )
    expect(await openHealth(networkKey, 'pc1', peer, '!', NOW)).toEqual(unreadable)
  })

  test('can repeat an old one, which says its age instead of a health', async () => {
    const box = await sealHealth(networkKey, 'pc1', peer, up, NOW)
    const seen = (ms: number) => openHealth(networkKey, 'pc1', peer, box, NOW + ms)
    expect(await seen(LIMITS.healthStale)).toMatchObject({ state: 'up' })
    expect(await seen(LIMITS.healthStale + 1)).toEqual({ state: 'stale', age: LIMITS.healthStale + 1 })
    expect(await seen(-LIMITS.healthStale - 1)).toEqual({ state: 'stale', age: -LIMITS.healthStale - 1 })
  })

  test.each([
    ['no JSON', '{'],
    ['no health', '{"state":"up"}'],
    ['a reason where it is up', `{"state":"up","code":"target-refused","since":1,"at":${NOW}}`],
    ['a time that is none', `{"state":"up","code":null,"since":9e15,"at":${NOW}}`],
  ])('with a member who seals %s gets nothing', async (_, text) => {
    const sealer = await Sealer.forHealth(networkKey, 'pc1')
    const box = toBase64Url(await sealer.seal(utf8(text), healthContext('pc1', peer)))
    expect(await openHealth(networkKey, 'pc1', peer, box, NOW)).toEqual({ state: 'unreadable' })
  })
})

test('in the words of overview', () => {
  const words = [
    { state: 'up', code: null, since: 0, age: 1 },
    { state: 'down', code: 'target-refused', since: 0, age: 1 },
    { state: 'off', code: null, since: 0, age: 1 },
    { state: 'stale', age: 540_000 },
    { state: 'stale', age: -7_200_000 },
    { state: 'unreadable' },
    null,
  ] as const
  expect(words.map(healthWords)).toEqual([
    'up',
    'down (target-refused)',
    'off',
    '? (9 min old)',
    '? (its clock is 120 min ahead)',
    '? (not readable)',
    '?',
  ])
})

const refOf = ({ peer, identity }: RawPeer) => ({ peer, identity: identity.publicKey })

describe('the server', () => {
  afterEach(closeTestSignaling)

  /** What it hands out: the peer that serves a name, and its health. */
  async function listed(reader: RawPeer): Promise<Record<string, readonly [string | null, string | null]>> {
    reader.send({ type: 'list', request: 1000 })
    const { shares } = await reader.next('shares')
    await reader.next('ok')
    return Object.fromEntries(shares.map(({ name, peer, health }) => [name, [peer, health]]))
  }

  test('keeps the newest for whom it serves the name, and for nobody else', async () => {
    const { newPeer } = await startTestSignaling()
    const [owner, other] = [await newPeer(), await newPeer()]
    await owner.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })
    const [first, second, third] = await Promise.all(
      [1, 2, 3].map(() => sealHealth(networkKey, 'pc1', refOf(owner), up)),
    )
    if (first === undefined || second === undefined || third === undefined) throw new Error('not sealed')
    owner.send({ type: 'health', name: 'pc1', box: first })
    expect(await listed(owner)).toEqual({ pc1: [null, null] })
    await owner.ask({ type: 'claim', name: 'pc1', ephemeral: false })
    expect(await listed(owner)).toEqual({ pc1: [owner.peer, null] })
    owner.send({ type: 'health', name: 'pc1', box: first })
    owner.send({ type: 'health', name: 'pc1', box: second })
    other.send({ type: 'health', name: 'pc1', box: third })
    await other.settled()
    expect(await listed(owner)).toEqual({ pc1: [owner.peer, second] })
    const newer = await newPeer(owner.identity)
    await newer.ask({ type: 'claim', name: 'pc1', ephemeral: false })
    owner.send({ type: 'health', name: 'pc1', box: first })
    await owner.settled()
    expect(await listed(other)).toEqual({ pc1: [newer.peer, null] })
    newer.send({ type: 'health', name: 'pc1', box: third })
    await newer.ask({ type: 'unclaim', name: 'pc1' })
    expect(await listed(other)).toEqual({ pc1: [null, null] })
  })

  test.each([
    ['too short', SEAL_BYTES + LIMITS.healthBytes - 1],
    ['too long', SEAL_BYTES + LIMITS.healthBytes + 1],
  ])('cuts off who sends one that is %s', async (_, bytes) => {
    const { newPeer } = await startTestSignaling()
    const raw = await newPeer()
    raw.send({ type: 'health', name: 'pc1', box: toBase64Url(randomBytes(bytes)) })
    expect(await raw.cutOff()).toMatchObject({ code: 'message-malformed' })
  })

  test('lists a hundred names with health in messages of the size that messages may have', async () => {
    const { newPeer } = await startTestSignaling()
    const owner = await newPeer()
    const box = await sealHealth(networkKey, 'pc1', refOf(owner), up)
    for (let n = 100; n < 200; n++) {
      const name = `${'a'.repeat(60)}${n}`
      await owner.ask({ type: 'claim', name, ephemeral: true })
      owner.send({ type: 'health', name, box })
    }
    const sizes: number[] = []
    owner.socket.on('message', (data) => sizes.push(data.toString().length))
    owner.send({ type: 'list', request: 1000 })
    const [one, two] = [await owner.next('shares'), await owner.next('shares')]
    expect([...one.shares, ...two.shares].filter(({ health }) => health === box).length).toBe(100)
    expect(Math.max(...sizes)).toBeLessThan(LIMITS.signalingMessageBytes)
  })
})

test('is told when it changes, at most once a second, again each minute, and after a reconnect', async () => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'Date', 'performance'] })
  const told: [string, string][] = []
  const onreconnect = new Set<() => void>()
  const signaling = { onreconnect, health: (...one: [string, string]) => void told.push(one) }
  const self = { peer: peer.peer, identity: { publicKey: peer.identity } }
  const node = { ...self, networkKey, signaling, log: silentLog } as unknown as PeerNode
  const health = new Map<string, Health>([['pc1', up]])
  const reports = new HealthReports(node, () => health)
  const states = async (count: number) => {
    while (told.length < count) await turn()
    const opened = told
      .splice(0)
      .map(async ([name, box]) => [name, (await openHealth(networkKey, name, peer, box)).state])
    return Promise.all(opened)
  }
  try {
    expect(jest.getTimerCount()).toBe(0)
    reports.report('pc1')
    expect(await states(1)).toEqual([['pc1', 'up']])
    health.set('pc1', down)
    reports.report('pc1')
    health.set('pc1', up)
    reports.report('pc1')
    health.set('pc1', down)
    reports.report('pc1')
    reports.report('gone')
    jest.advanceTimersByTime(LIMITS.statusInterval)
    expect(await states(1)).toEqual([['pc1', 'down']])
    jest.advanceTimersByTime(LIMITS.healthRefresh)
    expect(await states(1)).toEqual([['pc1', 'down']])
    jest.advanceTimersByTime(LIMITS.statusInterval)
    for (const call of onreconnect) call()
    expect(await states(1)).toEqual([['pc1', 'down']])
    reports.stop()
    expect(jest.getTimerCount()).toBe(0)
  } finally {
    reports.stop()
    jest.useRealTimers()
  }
})
