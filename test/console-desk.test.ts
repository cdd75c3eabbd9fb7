/** What the page of the console knows and says, over a network that the test makes up. */
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { deferred } from '../shared/deferred.ts'
import { type ErrorCode, NearportError } from '../shared/errors.ts'
import type { Connection, Live, Network, PathView, PeerView, ShareStatus, ShareView } from '../web/browser/index.ts'
import { Desk } from '../web/console/desk.ts'
import { Job } from '../web/console/jobs.ts'
import { CONSOLE } from '../web/console/limits.ts'

const KEY = 'A'.repeat(43)
const SERVER = 'https://signal.example/'

class Told<T> implements Live<T> {
  current: T
  readonly #listeners = new Set<(value: T) => void>()

  constructor(first: T) {
    this.current = first
  }

  subscribe(listener: (value: T) => void): () => void {
    this.#listeners.add(listener)
    listener(this.current)
    return () => this.#listeners.delete(listener)
  }

  tell(value: T): void {
    this.current = value
    for (const listener of this.#listeners) listener(value)
  }
}

const STATUS: ShareStatus = {
  health: { state: 'up', code: null, sinceMs: 5000 },
  ...{ streams: 0, queued: 0, toTarget: 0, fromTarget: 0, servedMs: 60_000 },
}

const share = (name: string, status: ShareStatus | null = null): ShareView => ({
  ...{ name, status, owner: OWNER, knownOwner: null, state: 'online', reserved: true, peer: 'p' },
})

const OWNER = 'A'.repeat(43)

const PATH: PathView = {
  local: { address: '10.0.0.1', port: 1, type: 'host' },
  remote: { address: '10.0.0.2', port: 2, type: 'host' },
  ...{ roundTripMs: 1, bytesSent: 2, bytesReceived: 3 },
}

test('all of the console is under 90 KiB compressed, the library with it', () => {
  const sizes = ['index.html', 'console.js', 'console.css', 'console.svg'].map(
    (file) => gzipSync(readFileSync(new URL(`../dist/web/${file}`, import.meta.url)), { level: 9 }).length,
  )
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(90 * 1024)
})

describe('the desk', () => {
  const shares = new Told<readonly ShareView[]>([])
  const peers = new Told<readonly PeerView[]>([])
  const state = new Told(true)
  const opened: string[] = []
  const paths = new Map<string, PathView>()
  const remembered: string[] = []
  const invites: string[] = []
  const trusted: [string, string][] = []
  let refused: ErrorCode | null
  /** what open() gives; null: it refuses */
  let connection: Connection | null
  let changes: number
  let desk: Desk

  const network: Network = {
    peer: 'me',
    identity: 'i',
    connected: true,
    shares: () => shares,
    peers: () => peers,
    state: () => state,
    open: (name): Promise<Connection> => {
      opened.push(name)
      return connection === null
        ? Promise.reject(new NearportError('name-offline', 'nobody'))
        : Promise.resolve(connection)
    },
    trust: async (name, owner) => void trusted.push([name, owner]),
    path: (name) => Promise.resolve(paths.get(name) ?? null),
    close: () => Promise.resolve(),
  }

  beforeEach(() => {
    for (const list of [opened, remembered, invites, trusted]) list.length = 0
    paths.clear()
    shares.tell([])
    state.tell(true)
    refused = null
    connection = null
    changes = 0
    desk = new Desk(
      {
        server: SERVER,
        connect: ({ invite }) => {
          invites.push(invite)
          return refused === null ? Promise.resolve(network) : Promise.reject(new NearportError(refused, 'no'))
        },
        rememberKey: (key) => remembered.push(key),
        rememberLanguage: (language) => remembered.push(language),
        changed: () => changes++,
      },
      'en',
    )
  })

  afterEach(() => {
    jest.restoreAllMocks()
  })

  test('begins with the key of the address', async () => {
    await desk.start(KEY)
    expect(invites).toEqual([`${SERVER}#${KEY}`])
    expect(desk.stage.kind).toBe('open')
  })

  test('asks for a key, refuses what is none, tells another server apart, and keeps a good one in the address', async () => {
    await desk.start('')
    expect(desk.stage).toEqual({ kind: 'key', problem: null, elsewhere: null })
    await desk.paste('nonsense')
    expect(desk.stage).toMatchObject({ kind: 'key', problem: { code: 'link-invalid' } })
    await desk.paste(`https://other.example/#${KEY}`)
    expect(desk.stage).toMatchObject({ kind: 'key', elsewhere: `https://other.example/#${KEY}` })
    expect(remembered).toEqual([])
    await desk.paste(`${SERVER}#${KEY}`)
    expect(desk.stage.kind).toBe('open')
    expect(remembered).toEqual([KEY])
  })

  test.each<[ErrorCode, object]>([
    ['admission-refused', { kind: 'key', problem: { code: 'admission-refused' } }],
    ['server-unreachable', { kind: 'stuck', canRetry: true }],
    ['insecure-context', { kind: 'stuck', canRetry: false }],
    ['browser-unsupported', { kind: 'stuck', canRetry: false }],
  ])('%s on the way in', async (code, stage) => {
    refused = code
    await desk.start(KEY)
    expect(desk.stage).toMatchObject(stage)
  })

  test('shares are in the order that people count', async () => {
    await desk.start(KEY)
    shares.tell(['pc10', 'pc2', 'bar'].map((name) => share(name)))
    expect(desk.shares.map(({ name }) => name)).toEqual(['bar', 'pc2', 'pc10'])
  })

  test('a duration counts from when it was told', async () => {
    await desk.start(KEY)
    const clock = jest.spyOn(Date, 'now').mockReturnValue(1_000_000)
    shares.tell([share('bar', STATUS)])
    clock.mockReturnValue(1_030_000)
    shares.tell([share('bar', STATUS), share('pc1')])
    expect(desk.beganAt(STATUS, STATUS.health.sinceMs)).toBe(995_000)
  })

  test('the server that goes and comes back is said once each', async () => {
    await desk.start(KEY)
    expect(desk.announcement).toBe('')
    state.tell(false)
    expect([desk.isSignalingHere, desk.announcement]).toEqual([false, desk.words.awayTitle])
    state.tell(true)
    expect([desk.isSignalingHere, desk.announcement]).toEqual([true, desk.words.backAnnounced])
  })

  test('a job that fails is announced, and counts no longer', async () => {
    await desk.start(KEY)
    desk.printText('bar', 'x', 'plain')
    expect(desk.pending).toBe(1)
    const [job] = desk.queue('bar').jobs
    while (job?.isOver === false) await new Promise((resolve) => setImmediate(resolve))
    expect(opened).toEqual(['bar'])
    expect(desk.pending).toBe(0)
    expect(desk.announcement).toBe('Typed text on bar: not printed')
    expect(job?.problem).toMatchObject({ code: 'name-offline' })
  })

  test('a job stands still once the printer took nothing for a while', () => {
    const job = new Job(1, { name: 'a', content: new Blob(['abc']), replaced: 0 }, () => undefined)
    Object.assign(job, { state: 'sending', sent: 3 })
    expect(desk.isStalled(job)).toBe(false)
    jest.spyOn(Date, 'now').mockReturnValue(job.movedAt + CONSOLE.stalledAfter)
    expect(desk.isStalled(job)).toBe(true)
    Object.assign(job, { acknowledged: 3 })
    expect(desk.isStalled(job)).toBe(false)
  })

  test('a job that stands still is announced once', async () => {
    const { promise: stalls } = deferred<void>()
    connection = {
      ...{ name: 'bar', abort: () => undefined, closed: new Promise(() => undefined) },
      readable: new ReadableStream(),
      writable: new WritableStream({ write: () => stalls }),
      acknowledged: new Told(0),
    }
    await desk.start(KEY)
    desk.printText('bar', 'x', 'plain')
    const [job] = desk.queue('bar').jobs
    while (job?.sent !== 1) await new Promise((resolve) => setImmediate(resolve))
    desk.noticeStalls()
    expect(desk.announcement).toBe('Typed text on bar: printing')
    jest.spyOn(Date, 'now').mockReturnValue(job.movedAt + CONSOLE.stalledAfter)
    desk.noticeStalls()
    expect(desk.announcement).toBe(`Typed text on bar: ${desk.words.stalled}`)
    const before = changes
    desk.noticeStalls()
    expect(changes).toBe(before)
  })

  test('the owner that is accepted is the one that was asked about, whomever the server names by then', async () => {
    await desk.start(KEY)
    const [known, seen, later] = ['A', 'B', 'C'].map((letter) => letter.repeat(43)) as [string, string, string]
    shares.tell([{ ...share('bar'), owner: seen, knownOwner: known }])
    desk.consider('bar', seen)
    shares.tell([{ ...share('bar'), owner: later, knownOwner: known }])
    expect(desk.considered.get('bar')).toBe(seen)
    await desk.trust('bar', desk.considered.get('bar') ?? '')
    expect(trusted).toEqual([['bar', seen]])
    expect([desk.considered.size, desk.announcement]).toEqual([0, 'The new owner of bar is accepted.'])
    desk.consider('bar', seen)
    desk.consider('bar', null)
    expect(desk.considered.size).toBe(0)
  })

  test('paths come and go', async () => {
    await desk.start(KEY)
    shares.tell([share('bar')])
    paths.set('bar', PATH)
    await desk.lookAtPaths()
    expect(desk.paths.get('bar')).toBe(PATH)
    paths.clear()
    await desk.lookAtPaths()
    expect(desk.paths.size).toBe(0)
  })

  test('a file held over a tile marks it, once', async () => {
    const before = changes
    desk.dropOn('bar')
    desk.dropOn('bar')
    expect([desk.droppingOn, changes - before]).toEqual(['bar', 1])
  })

  test('the language is switched and remembered', () => {
    desk.switchLanguage()
    expect([desk.language, desk.words.print, desk.format.bytes(1), ...remembered]).toEqual([
      'zh-CN',
      '打印',
      '1字节',
      'zh-CN',
    ])
  })
})
