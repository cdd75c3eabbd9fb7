/** What werift does when packets are lost: the test drops chosen datagrams of a connection over loopback. */
import dgram from 'node:dgram'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { loadEngine } from '../peer/engines/index.ts'
import { type Engine, messageBytes } from '../shared/engine.ts'
import { channelPair, connectedPair, type RtcPair } from './support/rtc-pair.ts'

/** The content type of a DTLS record that carries data. */
const DTLS_APPLICATION_DATA = 23
/** bytes of a datagram that carries the longest data chunk, about */
const ONE_CHUNK = 1100

let engine: Engine
let pair: RtcPair
let one: [RTCDataChannel, RTCDataChannel]
let two: [RTCDataChannel, RTCDataChannel]

beforeAll(async () => {
  const silent = () => undefined
  engine = await loadEngine('werift', { debug: silent, info: silent, warn: silent, error: silent })
})

afterAll(() => engine.close())

afterEach(async () => {
  jest.restoreAllMocks()
  await pair.close()
})

/** Drops the next datagram with data that either side sends. */
function dropNext(): void {
  const { send } = dgram.Socket.prototype
  let dropped = false
  jest.spyOn(dgram.Socket.prototype, 'send').mockImplementation(function (this: dgram.Socket, ...parameters) {
    const [packet] = parameters as unknown as [Buffer]
    const drops = !dropped && packet[0] === DTLS_APPLICATION_DATA
    dropped ||= drops
    const done = parameters.at(-1) as unknown
    if (!drops) Reflect.apply(send, this, parameters)
    else if (typeof done === 'function') done(null, packet.length)
  })
}

/** Resolves with the first byte of each of the next messages. */
function received(channel: RTCDataChannel, count: number): Promise<(number | undefined)[]> {
  const first: (number | undefined)[] = []
  return new Promise((resolve) => {
    channel.onmessage = ({ data }) => {
      if (first.push(messageBytes(data)?.[0]) === count) resolve(first)
    }
  })
}

const message = (first: number, bytes = ONE_CHUNK): Uint8Array<ArrayBuffer> => new Uint8Array(bytes).fill(first)

describe('werift', () => {
  beforeEach(async () => {
    pair = await connectedPair(engine, engine)
    one = await channelPair(pair, 1)
    two = await channelPair(pair, 2)
  })

  test('messages that wait for a lost one are all delivered with it', async () => {
    const [atOne, atTwo] = [received(one[1], 3), received(two[1], 3)]
    dropNext()
    for (const number of [1, 2, 3]) for (const [near] of [one, two]) near.send(message(number))
    expect(await atOne).toEqual([1, 2, 3])
    expect(await atTwo).toEqual([1, 2, 3])
  })

  test('what came out of order and was sent again after a timeout does not fill the window for good', async () => {
    const lost = received(one[1], 3)
    dropNext()
    // Two packets after the lost one: too few reports of the gap for anything but the timeout to repair it.
    for (const [number, bytes] of [
      [1, 100],
      [2, 1000],
      [3, 1200],
    ] as const)
      one[0].send(message(number, bytes))
    expect(await lost).toEqual([1, 2, 3])
    const next = received(two[1], 1)
    two[0].send(message(4))
    expect(await next).toEqual([4])
  })
})
