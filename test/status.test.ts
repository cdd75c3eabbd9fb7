/** What a share peer tells those who follow it: at once, at each change, and no more. */
import { setImmediate as turn } from 'node:timers/promises'
import { jest } from '@jest/globals'
import fc from 'fast-check'
import { nanoid } from 'nanoid'
import { toBase64Url, utf8 } from '../shared/bytes.ts'
import { encodeControl, parseControl } from '../shared/control.ts'
import { randomBytes } from '../shared/crypto.ts'
import { NearportError } from '../shared/errors.ts'
import { FarStatus } from '../shared/far-status.ts'
import { LIMITS } from '../shared/limits.ts'
import type { Link } from '../shared/link.ts'
import { type Follower, LinkStatus, type StatusNews } from '../shared/link-status.ts'
import { Liveness } from '../shared/liveness.ts'
import type { LinkView, ShareStatus } from '../shared/status.ts'
import { StatusBoard } from '../shared/status-board.ts'
import { availableEngines, linkPair, newMember, newNetwork } from './support/links.ts'
import { runs } from './support/sample.ts'

const status = (change: Partial<ShareStatus> = {}): ShareStatus => ({
  health: { state: 'up', code: null, sinceMs: 5 },
  streams: 0,
  queued: 0,
  toTarget: 0,
  fromTarget: 0,
  servedMs: 7,
  ...change,
})
const identity = toBase64Url(randomBytes(32))
const view = (change: Partial<LinkView> = {}): LinkView => ({
  peer: nanoid(),
  identity,
  path: 'host',
  roundTripMs: 1,
  streams: 0,
  bytes: 0,
  ...change,
})

afterEach(() => jest.useRealTimers())

describe('a board', () => {
  function scene() {
    jest.useFakeTimers()
    const names = new Map<string, ShareStatus>()
    const links = new Map<string, LinkView>()
    const board = new StatusBoard({ names: () => names, links: () => links.values() })
    const follower = () => {
      const told: StatusNews[] = []
      const one = { waits: 0, told, buffered: () => one.waits, send: (news: StatusNews) => void told.push(news) }
      return one
    }
    return { names, links, board, follower }
  }

  test('tells all at once, then what changes, each second at most, and stops with its last follower', () => {
    const { names, links, board, follower } = scene()
    names.set('pc1', status()).set('pc2', status())
    const { peer, identity, ...link } = view()
    links.set(peer, { peer, identity, ...link })
    expect(jest.getTimerCount()).toBe(0)
    const one = follower()
    board.add(one)
    expect(one.told).toEqual([
      { type: 'status', name: 'pc1', status: status() },
      { type: 'status', name: 'pc2', status: status() },
      { type: 'link', peer, identity, link },
    ])
    one.told.length = 0
    for (const streams of [1, 2]) names.set('pc1', status({ streams }))
    expect(one.told).toEqual([])
    jest.advanceTimersByTime(LIMITS.statusInterval)
    expect(one.told).toEqual([{ type: 'status', name: 'pc1', status: status({ streams: 2 }) }])
    one.told.length = 0
    // Time goes on, and is no news.
    names.set('pc2', status({ servedMs: 9000, health: { state: 'up', code: null, sinceMs: 8000 } }))
    jest.advanceTimersByTime(10 * LIMITS.statusInterval)
    expect(one.told).toEqual([])
    // But who comes later is told the time it is.
    const two = follower()
    board.add(two)
    expect(two.told).toContainEqual({ type: 'status', name: 'pc2', status: names.get('pc2') })
    board.remove(one)
    expect(jest.getTimerCount()).toBe(1)
    board.remove(two)
    expect(jest.getTimerCount()).toBe(0)
  })

  test('tells what is gone, before what is new', () => {
    const { names, links, board, follower } = scene()
    const [old, young] = [view(), view()]
    names.set('pc1', status())
    links.set(old.peer, old)
    const one = follower()
    board.add(one)
    one.told.length = 0
    names.clear()
    links.clear()
    links.set(young.peer, young)
    jest.advanceTimersByTime(LIMITS.statusInterval)
    const { peer, identity, ...link } = young
    expect(one.told).toEqual([
      { type: 'status', name: 'pc1', status: null },
      { type: 'link', peer: old.peer, identity, link: null },
      { type: 'link', peer, identity, link },
    ])
    one.told.length = 0
    jest.advanceTimersByTime(LIMITS.statusInterval)
    names.set('pc1', status())
    jest.advanceTimersByTime(LIMITS.statusInterval)
    expect(one.told).toEqual([{ type: 'status', name: 'pc1', status: status() }])
  })

  test('lets one who does not read wait, and nobody else', () => {
    const { names, board, follower } = scene()
    names.set('pc1', status())
    const [slow, quick] = [follower(), follower()]
    board.add(slow)
    board.add(quick)
    slow.waits = LIMITS.statusBacklogBytes + 1
    for (const streams of [1, 2, 3]) {
      names.set('pc1', status({ streams }))
      jest.advanceTimersByTime(LIMITS.statusInterval)
    }
    expect([slow.told.length, quick.told.length]).toEqual([1, 4])
    names.delete('pc1')
    jest.advanceTimersByTime(LIMITS.statusInterval)
    slow.waits = 0
    jest.advanceTimersByTime(LIMITS.statusInterval)
    expect(slow.told.slice(1)).toEqual([{ type: 'status', name: 'pc1', status: null }])
  })
})

const refuses = (bytes: Uint8Array): boolean => {
  try {
    parseControl(bytes)
    return false
  } catch (error) {
    if (error instanceof NearportError && error.code === 'message-malformed') return true
    throw error
  }
}

describe('the messages', () => {
  const most = Number.MAX_SAFE_INTEGER
  const longest: StatusNews[] = [
    {
      type: 'status',
      name: 'a'.repeat(63),
      status: {
        health: { state: 'down', code: 'target-unreachable', sinceMs: most },
        streams: most,
        queued: most,
        toTarget: most,
        fromTarget: most,
        servedMs: most,
      },
    },
    { type: 'link', peer: nanoid(), identity, link: { path: 'srflx', roundTripMs: most, streams: most, bytes: most } },
  ]
  const [first, second] = longest

  test('fit a control message, the longest as well, and come out as they went in', () => {
    for (const news of [
      ...longest,
      { type: 'status', name: 'pc1', status: null } as const,
      { type: 'follow' } as const,
    ]) {
      expect(encodeControl(news).length).toBeLessThan(LIMITS.controlMessageBytes / 8)
      expect(parseControl(encodeControl(news))).toEqual(news)
    }
  })

  test.each<[string, unknown]>([
    [
      'a state that is none',
      { ...first, status: status({ health: { state: 'well' as 'up', code: null, sinceMs: 1 } }) },
    ],
    ['down without a reason', { ...first, status: status({ health: { state: 'down', code: null, sinceMs: 1 } }) }],
    ['up with one', { ...first, status: status({ health: { state: 'up', code: 'target-refused', sinceMs: 1 } }) }],
    ['another code', { ...first, status: { ...status(), health: { state: 'down', code: 'internal', sinceMs: 1 } } }],
    ['a count below 0', { ...first, status: status({ streams: -1 }) }],
    ['half a byte', { ...first, status: status({ toTarget: 0.5 }) }],
    ['a field too many', { ...first, status: { ...status(), target: '192.0.2.1:9100' } }],
    ['a name that is none', { ...first, name: '<b>' }],
    ['no status', { type: 'status', name: 'pc1' }],
    ['a path by a relay', { ...second, link: { ...view(), peer: undefined, path: 'relay' } }],
    ['an identity that is none', { ...second, link: { ...view(), peer: undefined, identity: 'me' } }],
    ['a peer that is none', { ...second, peer: 'x' }],
    ['follow with a field', { type: 'follow', name: 'pc1' }],
  ])('with %s are refused', (_, message) => {
    expect(refuses(utf8(JSON.stringify(message)))).toBe(true)
  })

  test('are taken or refused by name, whatever is done to them, 20,000 times', () => {
    let refused = 0
    const piece = fc.oneof(fc.constant(''), fc.string({ maxLength: 4 }), fc.json({ maxDepth: 1 }))
    fc.assert(
      fc.property(fc.constantFrom(...longest), fc.nat(400), fc.nat(30), piece, (news, at, length, text) => {
        const whole = JSON.stringify(news)
        const from = at % whole.length
        if (refuses(utf8(whole.slice(0, from) + text + whole.slice(from + length)))) refused++
      }),
      runs(200_000),
    )
    expect(refused).toBeGreaterThan(10_000)
  })

  test('beyond what a share process can have end the link', () => {
    const far = new FarStatus()
    for (let n = 0; n < LIMITS.namesPerConnection; n++)
      far.receive({ type: 'status', name: `pc-${n}`, status: status() })
    far.receive({ type: 'status', name: 'pc-0', status: null })
    far.receive({ type: 'status', name: 'one-more', status: status() })
    expect(() => far.receive({ type: 'status', name: 'too-many', status: status() })).toThrow(/more than 1000/)
  })

  test.each(['access', 'share'] as const)('that are not due are refused by the %s side', (role) => {
    const made = () => new LinkStatus({ role, send: () => undefined, buffered: () => 0 }, () => undefined)
    const untimely = expect.objectContaining({ code: 'message-malformed' })
    const news = { type: 'status', name: 'pc1', status: null } as const
    expect(() => made().receive(news)).toThrow(untimely)
    const link = made()
    if (role === 'share') link.receive({ type: 'follow' })
    expect(() => link.receive({ type: 'follow' })).toThrow(untimely)
  })
})

test('a pong answers the oldest ping that has none, and pongs nobody asked for time nothing', () => {
  jest.useFakeTimers()
  const sent: string[] = []
  const liveness = new Liveness({
    send: ({ type }) => void sent.push(type),
    buffered: () => 0,
    fail: () => undefined,
    closed: new Promise(() => undefined),
  })
  const hear = (type: 'ping' | 'pong') => {
    liveness.heard()
    liveness.receive({ type })
  }
  expect(liveness.roundTripMs).toBeNull()
  liveness.start()
  jest.advanceTimersByTime(40)
  hear('pong')
  expect(liveness.roundTripMs).toBe(40)
  jest.advanceTimersByTime(LIMITS.linkPing + LIMITS.linkCheck)
  expect(sent).toEqual(['ping', 'ping'])
  // A second one before the answer to the first is not the one that is timed.
  jest.advanceTimersByTime(LIMITS.linkPing)
  const [pings] = [sent.length]
  expect(pings).toBe(3)
  hear('pong')
  const first = liveness.roundTripMs
  expect(first).toBeGreaterThan(LIMITS.linkPing - 1)
  hear('pong')
  hear('pong')
  expect(liveness.roundTripMs).toBe(first)
  liveness.stop()
})

const engines = await availableEngines()
afterAll(async () => {
  for (const engine of engines) await engine.close()
})

describe.each(engines.map((engine) => [engine.name, engine] as const))('over a link (%s)', (_, engine) => {
  const made: Link[] = []
  afterEach(async () => {
    await Promise.all(made.splice(0).map((link) => link.close(new NearportError('shutting-down', 'the test is over'))))
  })

  async function pair() {
    const followers: Follower[] = []
    const [network, access, share] = await Promise.all([newNetwork(), newMember(), newMember()])
    const change = { share: { onfollow: (follower: Follower) => void followers.push(follower) } }
    const links = linkPair({ engine, network, access, share, change })
    made.push(links.access, links.share)
    return { links, followers, access }
  }

  async function until(holds: () => boolean): Promise<void> {
    while (!holds()) await turn()
  }

  test('who asks is told, and who does not ask is not', async () => {
    const { links, followers, access } = await pair()
    await Promise.all([links.access.ready, links.share.ready])
    expect(links.share.view()).toMatchObject({ peer: access.peer, streams: 0, bytes: 0 })
    // Its answer comes back after all that was sent before.
    expect(await links.access.answers()).toBe(true)
    expect(followers).toEqual([])
    const told: StatusNews[] = []
    links.access.follow((news) => told.push(news))
    await until(() => followers.length === 1)
    const news = { type: 'status', name: 'pc1', status: status() } as const
    followers[0]?.send(news)
    await until(() => told.length === 1)
    expect(told).toEqual([news])
    await until(() => links.share.view()?.roundTripMs !== null && links.share.view()?.path !== null)
    expect(links.share.view()?.path).toMatch(/^(host|prflx)$/)
    const stream = (await links.tunnels.access.open('pc1')).open()
    stream.write(utf8('a job'))
    await until(() => links.share.view()?.streams === 1)
    expect(links.share.view()?.bytes).toBeGreaterThan(5)
    links.share.close(new NearportError('shutting-down', 'done'))
    await links.access.closed
    expect(links.share.view()).toBeNull()
  })

  test('a status that is none ends the link', async () => {
    const { links, followers } = await pair()
    links.access.follow(() => undefined)
    await until(() => followers.length === 1)
    followers[0]?.send({ type: 'status', name: 'pc1', status: status({ streams: -1 }) })
    expect((await links.share.closed).code).toBe('message-malformed')
    expect((await links.access.closed).code).toBe('message-malformed')
  })

  test('what is not due ends the link', async () => {
    const { links, followers } = await pair()
    links.access.follow(() => undefined)
    await until(() => followers.length === 1)
    followers[0]?.send({ type: 'follow' } as unknown as StatusNews)
    expect((await links.access.closed).code).toBe('message-malformed')
  })
})
