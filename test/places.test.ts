/** Places, whom they are kept for, and what is said of those who got none. */
import { jest } from '@jest/globals'
import { LIMITS } from '../shared/limits.ts'
import { Places } from '../shared/places.ts'
import { Regulars } from '../shared/regulars.ts'
import { Tally } from '../shared/tally.ts'
import { collectingLog } from './support/signaling.ts'

const ALL = [LIMITS.linksPerProcess, LIMITS.pendingLinks, LIMITS.streamsPerProcess, LIMITS.queuedStreams]
const DAY = 86_400_000

/** How many places an identity gets. */
function fill(places: Places, identity: string): number {
  let got = 0
  while (places.take(identity)) got++
  return got
}

const strangers = Array.from({ length: 1000 }, (_, index) => `stranger ${index}`)

describe.each(ALL)('of %d places', (all) => {
  const kept = all / 2 / LIMITS.regulars

  test('one identity has a quarter, and each regular its own besides', () => {
    const regulars = new Regulars([['till', 1]])
    const places = new Places(all, regulars)
    expect(fill(places, 'stranger')).toBe(all / 4)
    expect(fill(places, 'till')).toBe(all / 4 + kept)
    expect(places.taken).toBe(all / 2 + kept)
  })

  test('a thousand identities leave every regular what is kept for it, whoever of them came first', () => {
    const regulars = new Regulars(strangers.slice(0, 24).map((name) => [name, 1]))
    const places = new Places(all, regulars)
    for (const name of strangers) fill(places, name)
    const tills = Array.from({ length: LIMITS.regulars - 24 }, (_, index) => `till ${index}`)
    for (const till of tills) {
      expect(places.take(till)).toBe(false)
      regulars.add(till)
      expect(fill(places, till)).toBe(kept)
    }
    expect(places.taken).toBe(all)
  })

  test('a place that is given back is free again, for whoever asks', () => {
    const places = new Places(all, new Regulars())
    for (const name of strangers) fill(places, name)
    expect(places.taken).toBe(all / 2)
    expect(places.take('late')).toBe(false)
    places.give('stranger 0')
    expect(places.take('late')).toBe(true)
    expect(places.take('later')).toBe(false)
  })
})

test('a shop of forty tills fits, each with an identity of its own or all with one', () => {
  const one = (all: number) => fill(new Places(all, new Regulars([['shop', 1]])), 'shop')
  expect(one(LIMITS.linksPerProcess)).toBeGreaterThanOrEqual(40 * 6)
  expect(one(LIMITS.pendingLinks)).toBeGreaterThanOrEqual(40)
  expect(one(LIMITS.streamsPerProcess)).toBeGreaterThanOrEqual(40 * 26)
  expect(one(LIMITS.queuedStreams)).toBeGreaterThanOrEqual(40 * 3)
  expect(one(LIMITS.streamsPerName)).toBeGreaterThanOrEqual(LIMITS.streamsPerTunnel)
  const places = new Places(LIMITS.pendingLinks, new Regulars())
  const tills = strangers.slice(0, 40)
  for (const till of tills)
    expect([places.take(till), places.take(till), places.take(till)]).toEqual([true, true, true])
})

test('few places are all open: none is lost by being kept for a fraction of somebody', () => {
  const places = new Places(3, new Regulars())
  expect([fill(places, 'a'), fill(places, 'b')]).toEqual([2, 1])
  expect(fill(new Places(1, new Regulars()), 'a')).toBe(1)
})

describe('regulars', () => {
  test('are so many, and one that stays away makes room for who comes', () => {
    let now = 100 * DAY
    const regulars = new Regulars([], () => now)
    const changed = jest.fn()
    regulars.onchange = changed
    for (const name of strangers.slice(0, LIMITS.regulars)) regulars.add(name)
    expect(changed).toHaveBeenCalledTimes(LIMITS.regulars)
    regulars.add('late')
    expect(regulars.has('late')).toBe(false)
    now += 29 * DAY
    for (const name of strangers.slice(1, LIMITS.regulars)) regulars.add(name)
    now += 2 * DAY
    regulars.add('late')
    expect([regulars.has('late'), regulars.has('stranger 0'), regulars.has('stranger 1')]).toEqual([true, false, true])
    regulars.add('later')
    expect(regulars.has('later')).toBe(false)
  })

  test('that come often are stored once a day', () => {
    let now = 100 * DAY
    const regulars = new Regulars([], () => now)
    const changed = jest.fn()
    regulars.onchange = changed
    for (let hour = 0; hour < 48; hour++) {
      regulars.add('till')
      now += DAY / 24
    }
    expect(changed).toHaveBeenCalledTimes(2)
    expect(new Regulars(regulars.entries()).has('till')).toBe(true)
  })
})

test('what others cause is said once, and then as a number each minute', () => {
  jest.useFakeTimers()
  const log = collectingLog()
  const tally = new Tally(log, 'signals dropped')
  for (let time = 0; time < 5000; time++) tally.add({ code: 'signal-refused', peer: `p${time}` })
  tally.add({ code: 'too-many-links', peer: 'q' })
  jest.advanceTimersByTime(LIMITS.tallyInterval)
  jest.advanceTimersByTime(LIMITS.tallyInterval)
  tally.add({ code: 'signal-refused', peer: 'again' })
  tally.add({ code: 'signal-refused', peer: 'and again' })
  tally.stop()
  jest.useRealTimers()
  expect(log.entries.map(({ fields, message }) => [fields.peer, fields.count, message])).toEqual([
    ['p0', undefined, 'signals dropped'],
    ['q', undefined, 'signals dropped'],
    ['p4999', 4999, 'signals dropped, in the last 60 s'],
    ['again', undefined, 'signals dropped'],
    ['and again', 1, 'signals dropped, in the last 60 s'],
  ])
})
