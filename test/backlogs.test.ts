/** What may wait in a server for peers that do not read. */
import { expect, test } from '@jest/globals'
import { withLimits } from '../shared/limits.ts'
import { Backlogs } from '../signaling/backlogs.ts'

const limits = withLimits({ signalingBacklogSlow: 10, signalingBacklogBytes: 100, signalingBacklogTotal: 400 })
const waiting = (bufferedAmount: number) => ({ bufferedAmount })

test('one that does not keep up may have as much as one may', () => {
  const backlogs = new Backlogs(limits)
  expect(backlogs.allows(waiting(100))).toBe(true)
  expect(backlogs.allows(waiting(101))).toBe(false)
})

test('many share what all may have, and who keeps up is not touched', () => {
  const backlogs = new Backlogs(limits)
  const slow = Array.from({ length: 10 }, () => waiting(40))
  for (const peer of slow.slice(0, 9)) expect(backlogs.allows(peer)).toBe(true)
  expect(backlogs.allows(waiting(10))).toBe(true)
  // With the tenth each may have 40.
  const [tenth = waiting(0)] = slow.slice(9)
  expect(backlogs.allows({ bufferedAmount: 41 })).toBe(false)
  expect(backlogs.allows(tenth)).toBe(false)
})

test('who has caught up, or is gone, leaves its part to the others', () => {
  const backlogs = new Backlogs(limits)
  const slow = Array.from({ length: 8 }, () => waiting(50))
  for (const peer of slow) backlogs.allows(peer)
  const greedy = waiting(90)
  expect(backlogs.allows(greedy)).toBe(false)
  for (const peer of slow.slice(0, 3)) {
    peer.bufferedAmount = 0
    backlogs.drained(peer)
  }
  for (const peer of slow.slice(3, 6)) backlogs.leave(peer)
  expect(backlogs.allows(greedy)).toBe(true)
})

test('however many they are, a list may wait', () => {
  const backlogs = new Backlogs(limits)
  for (let peers = 0; peers < 1000; peers++) backlogs.allows(waiting(11))
  expect(backlogs.allows(waiting(10))).toBe(true)
  expect(backlogs.allows(waiting(11))).toBe(false)
})
