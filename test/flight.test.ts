/** What a link keeps on its way, over paths simulated byte by byte: enough to fill each, and little more. */

import { Flight } from '../shared/flight.ts'
import { encodeFrame } from '../shared/frames.ts'
import { LIMITS } from '../shared/limits.ts'
import { Scheduler } from '../shared/scheduler.ts'
import { MemoryCarrier, muxPair } from './support/mux-pair.ts'

const KIB = 1024
const MIB = 1024 * KIB
const MESSAGE = 16 * KIB

interface Path {
  /** bytes a ms */
  readonly rate: number
  /** ms, without any queue */
  roundTrip: number
  /** ms between bursts in which answers come, where they do */
  readonly burst?: number
}

/** A sender that always has more to send (or `offers` bytes a ms), for so many ms of a clock of its own. */
function simulate(path: Path, milliseconds: number, offers = Number.POSITIVE_INFINITY) {
  let now = 0
  const flight = new Flight(() => now)
  /** When each message, or the answer to a ping (0 bytes), is known to have arrived. */
  const answers: { readonly at: number; readonly bytes: number }[] = []
  let free = 0
  let offered = 0
  let arrived = 0
  const windows: number[] = []
  const burstOf = (at: number) => (path.burst === undefined ? at : Math.ceil(at / path.burst) * path.burst)
  const run = (until: number) => {
    for (; now < until; now++) {
      while (answers[0] !== undefined && answers[0].at <= now) {
        const { bytes } = answers.shift() as (typeof answers)[number]
        if (bytes === 0) flight.answered()
        else flight.arrived(bytes)
        arrived += bytes
      }
      offered = Math.min(offered + offers, 64 * MIB)
      while (offered >= MESSAGE && flight.mayGo()) {
        if (flight.isDue) {
          flight.asks()
          answers.push({ at: Math.max(free, now) + path.roundTrip, bytes: 0 })
        }
        flight.sent(MESSAGE)
        offered -= MESSAGE
        free = Math.max(free, now) + MESSAGE / path.rate
        answers.push({ at: burstOf(free + path.roundTrip), bytes: MESSAGE })
      }
      windows.push(flight.window)
    }
  }
  run(milliseconds)
  return {
    flight,
    /** bytes, at each ms */
    windows,
    /** bytes a ms, of those that arrive from now on */
    rateFor: (more: number) => {
      const [since, before] = [now, arrived]
      run(now + more)
      return (arrived - before) / (now - since)
    },
  }
}

describe('a path that is kept full has on its way what it holds, and a little more', () => {
  test.each<[string, Path]>([
    ['1000 Mbit/s, 50 ms', { rate: 80_000, roundTrip: 50 }],
    ['100 Mbit/s, 20 ms', { rate: 12_000, roundTrip: 20 }],
    ['100 Mbit/s, 100 ms', { rate: 12_000, roundTrip: 100 }],
    ['60 MB/s, 1 ms', { rate: 60_000, roundTrip: 1 }],
  ])('%s', (_, path) => {
    const { flight, rateFor } = simulate(path, 3000)
    const holds = path.rate * path.roundTrip
    expect(flight.window).toBeGreaterThanOrEqual(
      Math.min(1.2 * holds, holds + 0.9 * LIMITS.flightQueue, LIMITS.flightMost),
    )
    expect(flight.window).toBeLessThanOrEqual(2.3 * holds + 1.2 * path.rate * LIMITS.flightSlack)
    expect(rateFor(20_000) / path.rate).toBeGreaterThan(0.97)
  })

  test('1 Mbit/s: the least, so that a small job waits a second and not eight', () => {
    const { flight, rateFor } = simulate({ rate: 125, roundTrip: 30 }, 60_000)
    expect(flight.window).toBe(LIMITS.flightLeast)
    expect(rateFor(20_000) / 125).toBeGreaterThan(0.95)
  })
})

test.each([
  [20, 20],
  [50, 40],
  [50, 50],
  [100, 50],
])('a path of %i ms on which answers come in bursts, each %i ms, as on Wi-Fi, is filled', (roundTrip, burst) => {
  const { windows, rateFor } = simulate({ rate: 12_000, roundTrip, burst }, 20_000)
  expect(rateFor(5000) / 12_000).toBeGreaterThan(0.8)
  const settled = windows.slice(5000)
  expect(Math.max(...settled) / Math.min(...settled)).toBeLessThan(1.4)
})

test('a path that becomes longer is filled again once its round trip was measured', () => {
  const path = { rate: 12_000, roundTrip: 10 }
  const { rateFor } = simulate(path, 3000)
  path.roundTrip = 100
  rateFor(60_000)
  expect(rateFor(10_000) / path.rate).toBeGreaterThan(0.9)
})

test('a question that was lost with its channel is asked again', () => {
  let now = 0
  const flight = new Flight(() => now)
  flight.asks()
  flight.sent(1000)
  now += LIMITS.roundTripBusy
  expect(flight.isDue).toBe(false)
  flight.lost(1000, true)
  expect([flight.isDue, flight.bytes]).toEqual([true, 0])
})

test('what a sender does not offer is not taken for what the path cannot do', () => {
  const busy = simulate({ rate: 12_000, roundTrip: 50 }, 5000, 4000)
  expect(busy.flight.window).toBeGreaterThanOrEqual(4000 * 50)
  expect(busy.rateFor(5000)).toBeGreaterThan(3900)
})

test('many channels that each carry a little do not use up what may be on its way', async () => {
  const pairs = Array.from({ length: 99 }, () => ({ near: new MemoryCarrier(), far: new MemoryCarrier() }))
  const [near, far] = [new Scheduler(256 * KIB), new Scheduler(256 * KIB)]
  const lanes = pairs.map((pair) => ({ near: near.addLane(pair.near), far: far.addLane(pair.far) }))
  let arrived = 0
  // 3 KiB on each of 99 channels, eight times: far more than a flight that is never told of.
  for (let round = 0; round < 8; round++) {
    for (const lane of lanes) {
      let left = 3 * KIB
      lane.near.readyData({
        writeControl: () => undefined,
        writeData: (message, limit) => {
          const bytes = Math.min(left, limit, message.room)
          if (bytes > 0) message.append(new Uint8Array(bytes))
          left -= bytes
          return bytes
        },
      })
    }
    for (let turn = 0; turn < 20; turn++) {
      await Promise.resolve()
      for (const [index, { near: up, far: down }] of pairs.entries()) {
        for (let message = up.shift(); message !== undefined; message = up.shift()) {
          arrived += message.length
          lanes[index]?.far.received(message.length)
        }
        await Promise.resolve()
        for (let message = down.shift(); message !== undefined; message = down.shift()) {
          const view = new DataView(message.buffer, message.byteOffset)
          for (let at = 0; at < message.length; at += 15)
            expect(lanes[index]?.near.arrived(view.getUint32(at + 11))).toBeNull()
        }
      }
    }
  }
  expect(arrived).toBeGreaterThanOrEqual(8 * 99 * 3 * KIB)
})

test.each([
  ['more than was sent', 1_000_000],
  ['less than before', 1],
])('a peer that says that %s arrived is cut off', async (_, bytes) => {
  const { access, deliverOne } = muxPair({ manual: true })
  access.open().write(new Uint8Array(200 * KIB))
  for (let i = 0; i < 4; i++) await deliverOne()
  const frame = encodeFrame({ type: 'ARRIVED', stream: 0, bytes })
  expect(() => access.receive(frame)).toThrow(expect.objectContaining({ code: 'frame-malformed' }))
})
