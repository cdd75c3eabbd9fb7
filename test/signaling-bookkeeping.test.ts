/** What a server counts, and what it says of it: the log, the open files, the buckets of many keys. */
import { describe, expect, test } from '@jest/globals'
import { withLimits } from '../shared/limits.ts'
import { Bag } from '../signaling/bag.ts'
import { boundedLog } from '../signaling/bounded-log.ts'
import { Buckets } from '../signaling/buckets.ts'
import { fittedTo, openFilesMost } from '../signaling/descriptors.ts'
import { Drops } from '../signaling/drops.ts'
import { Turns } from '../signaling/turns.ts'
import { collectingLog } from './support/signaling.ts'

const MINUTE = 60_000

describe('the log of a server', () => {
  test('writes each message so often, and then how many lines it left out', () => {
    const log = collectingLog()
    const bounded = boundedLog(log, 2, MINUTE)
    for (let i = 0; i < 5; i++) bounded.warn({ i }, 'a')
    bounded.info({}, 'b')
    expect(log.entries.map(({ level, message }) => `${level} ${message}`)).toEqual(['warn a', 'warn a', 'info b'])
    bounded.stop()
    expect(log.entries.slice(3)).toEqual([
      { level: 'warn', fields: { line: 'a', leftOut: 3 }, message: 'left lines out of the log' },
    ])
    bounded.warn({}, 'a')
    expect(log.entries.at(-1)?.message).toBe('a')
    bounded.stop()
  })

  test('tells in one line what was dropped, why, and from where most came', () => {
    const log = collectingLog()
    const drops = new Drops(log, MINUTE)
    for (let i = 0; i < 3; i++) drops.count('connects too often', '192.0.2.1')
    drops.count('request too slow', '192.0.2.2')
    expect(log.entries).toEqual([])
    drops.stop()
    drops.stop()
    const fields = { 'connects too often': 3, 'request too slow': 1, sources: 2, most: ['192.0.2.1', 3] }
    expect(log.entries).toEqual([{ level: 'warn', fields, message: 'dropped connections' }])
  })

  test('and keeps no more than 1,000 sources for that', () => {
    const log = collectingLog()
    const drops = new Drops(log, MINUTE)
    for (let i = 0; i < 5000; i++) drops.count('connects too often', String(i))
    drops.stop()
    expect(log.entries[0]?.fields).toMatchObject({ sources: 1001, most: ['others', 4000] })
  })
})

describe('open files', () => {
  const limits = withLimits({ signalingConnections: 10_000, signalingPending: 1000, openFilesKept: 64 })
  const fitted = (most: number | null) => {
    const { signalingConnections, signalingPending } = fittedTo(limits, most)
    return [signalingConnections, signalingPending]
  }

  test('are those of this process', () => {
    expect(openFilesMost() ?? Number.MAX_SAFE_INTEGER).toBeGreaterThan(100)
  })

  test('leave room for members before strangers, and for the store before both', () => {
    expect(fitted(null)).toEqual([10_000, 1000])
    expect(fitted(12_064)).toEqual([10_000, 1000])
    expect(fitted(12_063)).toEqual([9999, 1000])
    expect(fitted(1024)).toEqual([720, 120])
    expect(fitted(10)).toEqual([1, 1])
  })
})

test('buckets of many keys are forgotten when they are full again', () => {
  const buckets = new Buckets(1e9, 2)
  const slow = new Buckets(1e-9, 2)
  for (let key = 0; key < 100; key++) expect(buckets.take(String(key))).toBe(true)
  expect([slow.take('a'), slow.take('a'), slow.take('a'), slow.take('b')]).toEqual([true, true, false, true])
  buckets.forgetFull()
  slow.forgetFull()
  expect([buckets.size, slow.size]).toEqual([0, 2])
  buckets.stop()
  slow.stop()
})

test('what costs more than there is goes into debt', () => {
  const buckets = new Buckets(1e-9, 5)
  expect([buckets.take('a', 100), buckets.take('a')]).toEqual([true, false])
  buckets.stop()
})

test('a bag gives any of its things, and none that was taken out', () => {
  const bag = new Bag<number>()
  for (let i = 0; i < 10; i++) bag.add(i)
  for (const i of [0, 9, 4, 5]) expect(bag.delete(i)).toBe(true)
  expect(bag.delete(4)).toBe(false)
  const left = new Set<number | undefined>()
  while (left.size < 6) left.add(bag.random())
  expect([...left].sort()).toEqual([1, 2, 3, 6, 7, 8])
  expect(bag.all().sort()).toEqual([1, 2, 3, 6, 7, 8])
  for (const i of bag.all()) bag.delete(i)
  expect([bag.size, bag.random()]).toEqual([0, undefined])
})

test('answers of many messages take turns, each once before any a second time, a few in a round', async () => {
  const turns = new Turns()
  const round = () => new Promise((resolve) => setImmediate(resolve))
  const order: number[] = []
  const answer = async (of: number) => {
    for (let i = 0; i < 2; i++) {
      await turns.next()
      order.push(of)
    }
  }
  const all = Promise.all(Array.from({ length: 40 }, (_, of) => answer(of)))
  await round()
  await round()
  expect(order.length).toBeLessThan(40)
  await all
  const each = Array.from({ length: 40 }, (_, of) => of)
  expect([order.slice(0, 40), order.slice(40)]).toEqual([each, each])
})
