/** Consent checks of werift on a path that a job fills: what waits behind the job is late, and not lost. */
import { expect, test } from '@jest/globals'
import type { RTCIceTransport } from 'werift'
import { repairIce } from '../peer/engines/werift-ice.ts'

/** werift asks again after this, in ms at the least, and forgets the request before. */
const NEXT_CHECK = 4000

test('an answer to a consent check counts until the next one is asked, and other requests keep their time', async () => {
  const asked: unknown[] = []
  const protocol = {
    request: (...words: unknown[]) => {
      asked.push(words)
      return Promise.resolve()
    },
  }
  const agent = {
    state: 'new',
    nominated: { protocol },
    checkList: [],
    connect: () => Promise.resolve(),
    addPair: () => undefined,
    checkComplete: () => undefined,
    schedulingChecks: () => false,
    queryConsent: () => undefined,
    setState: () => undefined,
  }
  // What repairIce touches of an agent.
  repairIce({ connection: agent } as unknown as RTCIceTransport)
  await agent.connect()
  const signal = new AbortController().signal
  protocol.request('check', 'address', 'key', { retransmissions: 0, responseTimeout: 500, signal })
  protocol.request('check', 'address', 'key', { responseTimeout: 500 })
  protocol.request('check', 'address')
  expect(asked).toEqual([
    ['check', 'address', 'key', { retransmissions: 0, responseTimeout: NEXT_CHECK, signal }],
    ['check', 'address', 'key', { responseTimeout: 500 }],
    ['check', 'address', undefined, undefined],
  ])
})
