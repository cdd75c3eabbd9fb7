/** How werift makes a connection: by what arrives, and by none of its timers. */
import dgram from 'node:dgram'
import { once } from 'node:events'
import * as timers from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals'
import type { Engine } from '../shared/engine.ts'
import { connectedPair, type RtcPair } from './support/rtc-pair.ts'

type Name = 'werift' | 'native'

const PAIRINGS = [
  { initiator: 'werift', acceptor: 'werift' },
  { initiator: 'werift', acceptor: 'native' },
  { initiator: 'native', acceptor: 'werift' },
] as const

const STUN_REQUEST = 0x0001
const STUN_SUCCESS = 0x0101
/** type and length of the attribute that says that a pair is chosen, which has no value */
const USE_CANDIDATE = Buffer.from([0x00, 0x25, 0x00, 0x00])
const DTLS_HANDSHAKE = 22
const CLIENT_HELLO = 1
const DTLS_HEADER = 13

const silent = () => undefined
let engines: Record<Name, Engine>
let pair: RtcPair | undefined

beforeAll(async () => {
  // werift looks for checks to make every 20 ms, and waits 100 ms before it greets and 500 ms before it greets again.
  const frozen = { ...timers, setTimeout: () => new Promise(silent) }
  for (const name of ['timers/promises', 'node:timers/promises']) jest.unstable_mockModule(name, () => frozen)
  const { loadEngine } = await import('../peer/engines/index.ts')
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
  test('a connection is made without a timer', async () => {
    pair = await connectedPair(engines[initiator], engines[acceptor])
    expect(pair.initiator.peer.connected).toBe(true)
  })

  test('no two encrypted records have the same number, and the kernel keeps more for werift than by itself', async () => {
    const numbers: string[] = []
    const used = new Set<dgram.Socket>()
    watchSent((datagram, socket) => {
      for (const number of encryptedRecords(datagram)) {
        numbers.push(`${socket.address().port} ${number}`)
        used.add(socket)
      }
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
    const other = dgram.createSocket('udp4').bind(0, '127.0.0.1')
    await once(other, 'listening')
    const byItself = other.getRecvBufferSize()
    other.close()
    for (const socket of used) expect(socket.getRecvBufferSize()).toBeGreaterThan(byItself)
  })
})

test('a greeting that comes before its side knows of the path is not lost', async () => {
  const chosenBy = new Set<dgram.Socket>()
  let greeted = false
  let held = 0
  watchSent((datagram, socket) => {
    const type = datagram.readUInt16BE(0)
    if (type === STUN_REQUEST && datagram.includes(USE_CANDIDATE)) chosenBy.add(socket)
    greeted ||= datagram[0] === DTLS_HANDSHAKE && datagram[DTLS_HEADER] === CLIENT_HELLO
    // The side that chooses a pair learns from the answer that it works.
    if (type !== STUN_SUCCESS || chosenBy.has(socket) || greeted) return true
    held++
    return false
  })
  pair = await connectedPair(engines.werift, engines.werift)
  expect(held).toBeGreaterThan(0)
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
