/** One job over a path so long that all that is sent waits for its answers: how much is under way in each round trip. */
import { afterEach, expect, jest, test } from '@jest/globals'
import { LIMITS } from '../shared/limits.ts'
import type { MuxStream } from '../shared/stream.ts'
import { MemoryCarrier, muxPair, turns } from './support/mux-pair.ts'

/** ms */
const ROUND_TRIP = 50
/** bytes that a socket takes at once */
const READ = 64 * 1024

afterEach(() => {
  jest.restoreAllMocks()
})

/**
 * bytes that arrive in each of so many round trips; `taken`: how many bytes of those that wait the target takes. `first`:
 * bytes of which the target has all before the rest is sent.
 */
async function bytesByRoundTrip(
  rounds: number,
  taken: (waiting: number) => number,
  first: number = LIMITS.messageBytes,
): Promise<number[]> {
  let now = 0
  jest.spyOn(performance, 'now').mockImplementation(() => now)
  const [up, down] = [new MemoryCarrier(), new MemoryCarrier()]
  const { access, share, accepted } = muxPair({
    manual: true,
    highWater: 2 * LIMITS.flightMost,
    carriers: [up, down],
    autoTake: () => false,
  })
  const near = access.open()
  const chunk = new Uint8Array(LIMITS.messageBytes)
  const fill = () => {
    while (near.write(chunk));
  }
  near.ondrain = fill
  near.write(new Uint8Array(first))
  await turns()
  const counts: number[] = []
  let waiting = 0
  for (let round = 0; round < rounds; round++) {
    let bytes = 0
    // What is sent meanwhile is of the next round trip.
    for (const message of up.queue.splice(0)) {
      up.drained(message)
      share.receive(message)
      const far = accepted[0] as MuxStream
      far.ondata = (piece) => {
        bytes += piece.length
        waiting += piece.length
      }
      await turns()
    }
    const some = taken(waiting)
    waiting -= some
    // As a socket does, a read after another.
    for (let left = some; left > 0; left -= READ) accepted[0]?.taken(Math.min(left, READ))
    await turns()
    if (counts.length === 0) fill()
    await turns()
    now += ROUND_TRIP
    for (const message of down.queue.splice(0)) {
      down.drained(message)
      access.receive(message)
      await turns()
    }
    counts.push(bytes)
  }
  return counts
}

test('the window grows while the target keeps up, so that a long path is filled', async () => {
  const counts = await bytesByRoundTrip(40, (waiting) => waiting)
  expect(Math.max(...counts)).toBeGreaterThan(LIMITS.maximumWindow * 0.9)
})

test('the window grows wherever in a burst its end falls', async () => {
  for (let first = 16 * 1024; first <= LIMITS.initialWindow; first += 16 * 1024) {
    const counts = await bytesByRoundTrip(40, (waiting) => waiting, first)
    expect(Math.max(...counts)).toBeGreaterThan(LIMITS.maximumWindow * 0.9)
  }
})

test('the window of a target that is slow stays as it was', async () => {
  const counts = await bytesByRoundTrip(40, (waiting) => Math.min(waiting, 16 * 1024))
  expect(Math.max(...counts)).toBeLessThanOrEqual(LIMITS.initialWindow + LIMITS.messageBytes)
})
