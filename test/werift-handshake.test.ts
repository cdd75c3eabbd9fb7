/** What werift sends while it makes a connection, and on it. */
import dgram from 'node:dgram'
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { loadEngine } from '../peer/engines/index.ts'
import type { Engine } from '../shared/engine.ts'
import { connectedPair, type RtcPair } from './support/rtc-pair.ts'

type Name = 'werift' | 'native'

const PAIRINGS = [
  { initiator: 'werift', acceptor: 'werift' },
  { initiator: 'werift', acceptor: 'native' },
  { initiator: 'native', acceptor: 'werift' },
] as const

const DTLS_HEADER = 13

const silent = () => undefined
let engines: Record<Name, Engine>
let pair: RtcPair | undefined

beforeAll(async () => {
  const log = { debug: silent, info: silent, warn: silent, error: silent }
  engines = { werift: await loadEngine('werift', log), native: await loadEngine('native', log) }
})

afterEach(async () => {
  jest.restoreAllMocks()
  await pair?.close()
})

afterAll(async () => {
  await Promise.all(Object.values(engines).map((engine) => engine.close()))
})

/** Calls `watch` with each datagram that werift is about to send; it is dropped if that returns false. */
function watchSent(watch: (datagram: Buffer, socket: dgram.Socket) => boolean): void {
  const { send } = dgram.Socket.prototype
  jest.spyOn(dgram.Socket.prototype, 'send').mockImplementation(function (this: dgram.Socket, ...parameters) {
    const [datagram] = parameters as unknown as [Buffer]
    const done = parameters.at(-1) as unknown
    if (watch(datagram, this)) Reflect.apply(send, this, parameters)
    else if (typeof done === 'function') done(null, datagram.length)
  })
}

describe.each(PAIRINGS)('$initiator to $acceptor', ({ initiator, acceptor }) => {
  test('no two encrypted records have the same number', async () => {
    const numbers: string[] = []
    watchSent((datagram, socket) => {
      for (const number of encryptedRecords(datagram)) numbers.push(`${socket.address().port} ${number}`)
      return true
    })
    pair = await connectedPair(engines[initiator], engines[acceptor])
    const { initiator: near, acceptor: far } = pair
    for (let message = 0; message < 20; message++) {
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        const arrived = new Promise((resolve) => to.peer.once('data', resolve))
        from.peer.send(Buffer.from('x'))
        await arrived
      }
    }
    expect(numbers.length).toBeGreaterThan(20)
    expect(new Set(numbers).size).toBe(numbers.length)
  })
})

/** Epoch and number of the records of a datagram that are encrypted. */
function encryptedRecords(datagram: Buffer): string[] {
  const records: string[] = []
  const isDtls = (datagram[0] ?? 0) >= 20 && (datagram[0] ?? 0) < 64
  for (let at = 0; isDtls && at + DTLS_HEADER <= datagram.length; at += DTLS_HEADER + datagram.readUInt16BE(at + 11)) {
    if (datagram.readUInt16BE(at + 3) > 0) records.push(datagram.subarray(at + 3, at + 11).toString('hex'))
  }
  return records
}
