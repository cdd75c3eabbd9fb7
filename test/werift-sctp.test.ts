/** What werift does when packets are lost: the test drops chosen datagrams of a connection over loopback. */
import dgram from 'node:dgram'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals'
import * as werift from 'werift'
import { loadEngine } from '../peer/engines/index.ts'
import { repairSctp } from '../peer/engines/werift-sctp.ts'
import { type Engine, messageBytes } from '../shared/engine.ts'
import { LIMITS } from '../shared/limits.ts'
import { channelPair, connectedPair, type RtcPair } from './support/rtc-pair.ts'

/** The content type of a DTLS record that carries data. */
const DTLS_APPLICATION_DATA = 23
/** bytes of a datagram that carries the longest data chunk, about */
const ONE_CHUNK = 1100

let engine: Engine
let pair: RtcPair | undefined
let one: [RTCDataChannel, RTCDataChannel]
let two: [RTCDataChannel, RTCDataChannel]

beforeAll(async () => {
  const silent = () => undefined
  engine = await loadEngine('werift', { debug: silent, info: silent, warn: silent, error: silent })
})

afterAll(() => engine.close())

afterEach(async () => {
  jest.restoreAllMocks()
  await pair?.close()
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

const BASE = 1e6

/** An association that was not connected, and what its other side is cut off for. */
function alone() {
  const connection = new werift.RTCPeerConnection()
  connection.createDataChannel('printer', { negotiated: true, id: 1 })
  const sctp = connection.sctpTransport?.sctp
  if (sctp === undefined) throw new Error('werift made no association')
  const broken: unknown[] = []
  const messages: Buffer[] = []
  repairSctp(sctp, (error) => broken.push(error))
  sctp.onReceive.subscribe((_stream, _protocol, data) => messages.push(data))
  const inner = sctp as unknown as {
    lastReceivedTsn: number
    lastSackedTsn: number
    sentQueue: { acked: boolean }[]
    handleData(packet: Buffer): Promise<void>
    receiveDataChunk(chunk: object): void
    receiveSackChunk(chunk: object): Promise<void>
    inboundStreams: Record<number, { reassembly: unknown[] }>
  }
  // werift sorts the numbers as text, and so is in order while they have as many digits.
  inner.lastReceivedTsn = BASE
  const [FIRST, LAST] = [2, 1]
  const chunk = (tsn: number, { first = true, last = true, streamId = 1, protocol = 53 } = {}) =>
    inner.receiveDataChunk({
      tsn: BASE + tsn,
      flags: (first ? FIRST : 0) | (last ? LAST : 0),
      streamId,
      streamSeqNum: tsn - 1,
      protocol,
      userData: Buffer.from([tsn % 256]),
    })
  const held = () => Object.values(inner.inboundStreams).reduce((sum, { reassembly }) => sum + reassembly.length, 0)
  return { inner, chunk, held, broken, messages }
}

describe('an association whose other side breaks the rules', () => {
  test('keeps a bounded number of parts that are out of order, and delivers all once they come again', () => {
    const { chunk, held, broken, messages } = alone()
    const sent = 2 * LIMITS.reassemblyChunks
    // From the end, so that nothing can be delivered before the first.
    for (let tsn = sent; tsn > 1; tsn--) chunk(tsn)
    expect(held()).toBe(LIMITS.reassemblyChunks)
    for (let tsn = 1; tsn <= sent; tsn++) chunk(tsn)
    expect(messages).toHaveLength(sent)
    expect(held()).toBe(0)
    expect(broken).toEqual([])
  })

  test('cuts off a message without an end', () => {
    const { chunk, held, broken } = alone()
    for (let tsn = 1; broken.length === 0 && tsn < 1e5; tsn++) chunk(tsn, { first: tsn === 1, last: false })
    expect(held()).toBe(2 * LIMITS.reassemblyChunks)
    expect(broken).toHaveLength(1)
  })

  test('cuts off a part that no datagram has room for', () => {
    const { inner, broken, held } = alone()
    const userData = Buffer.alloc(LIMITS.sctpChunkBytes + 1)
    inner.receiveDataChunk({ tsn: BASE + 1, flags: 2, streamId: 1, streamSeqNum: 0, protocol: 53, userData })
    expect(broken).toHaveLength(1)
    expect(held()).toBe(0)
  })

  test.each([
    ['of more than is in flight', [[1, 3]]],
    [
      'that overlap',
      [
        [1, 2],
        [2, 2],
      ],
    ],
    [
      'out of order',
      [
        [2, 2],
        [1, 1],
      ],
    ],
    ['that end before they begin', [[2, 1]]],
  ])('has no acknowledgement of gaps %s', async (_what, gaps) => {
    const { inner } = alone()
    const seen: unknown[] = []
    inner.sentQueue = [{ acked: false }, { acked: false }]
    const sack = { cumulativeTsn: 0, gaps, advertisedRwnd: 1e5, duplicates: [] }
    inner.lastSackedTsn = 0
    await inner.receiveSackChunk(sack)
    for (const { acked } of inner.sentQueue) seen.push(acked)
    expect(seen).toEqual([false, false])
  })

  test.each([
    ['a stream that there is not', { streamId: LIMITS.sharesPerTunnel + 1 }],
    ['a message that opens a channel', { protocol: 50 }],
    ['a protocol that nobody knows', { protocol: 99 }],
  ])('cuts off %s', (_what, change) => {
    const { chunk, broken, messages } = alone()
    chunk(1, change)
    expect(broken).toHaveLength(1)
    expect(messages).toEqual([])
  })

  test('ends, and with it its channels, but not the process', async () => {
    pair = await connectedPair(engine, engine)
    const [near, far] = await channelPair(pair, 1)
    const closed = new Promise((resolve) => far.addEventListener('close', resolve))
    const prototype: { sendChunk(chunk: { protocol?: number }): Promise<void> } = Object.getPrototypeOf(alone().inner)
    const { sendChunk } = prototype
    jest.spyOn(prototype, 'sendChunk').mockImplementation(function (this: unknown, chunk) {
      if (chunk.protocol !== undefined) chunk.protocol = 99
      return sendChunk.call(this, chunk)
    })
    near.send(message(1))
    await closed
    expect(far.readyState).toBe('closed')
  })

  test('cuts off a packet that is malformed', async () => {
    const { inner, broken } = alone()
    await inner.handleData(Buffer.alloc(20, 0xff))
    expect(broken).toHaveLength(1)
  })
})
