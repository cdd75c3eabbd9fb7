import { createHash, type Hash, randomBytes, randomInt } from 'node:crypto'
import dgram from 'node:dgram'
import { once } from 'node:events'
import os from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals'
import type { Signal } from 'simple-peer'
import { loadEngine } from '../peer/engines/index.ts'
import { type CandidatePair, type Engine, messageBytes } from '../shared/engine.ts'
import { LIMITS } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import {
  bothConnected,
  channelPair,
  closed,
  closing,
  connectedPair,
  type PairOptions,
  type RtcEnd,
  type RtcPair,
  rtcPair,
} from './support/rtc-pair.ts'

type Name = 'werift' | 'native'

const NAMES = ['werift', 'native'] as const
const PAIRINGS = NAMES.flatMap((initiator) => NAMES.map((acceptor) => ({ initiator, acceptor })))
const MIB = 1024 * 1024
/** The content type of a DTLS record. */
const DTLS_HANDSHAKE = 22

const warnings: object[] = []
const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: (fields) => warnings.push(fields),
  error: (fields) => warnings.push(fields),
}
let engines: Record<Name, Engine>
const pairs: RtcPair[] = []
let idle: Record<string, number>

beforeAll(async () => {
  idle = resources()
  engines = { werift: await loadEngine('werift', log), native: await loadEngine('native', log) }
})

afterEach(async () => {
  jest.restoreAllMocks()
  await Promise.all(pairs.splice(0).map((pair) => pair.close()))
})

afterAll(async () => {
  await Promise.all(NAMES.map((name) => engines[name].close()))
  expect(warnings).toEqual([])
})

describe.each(PAIRINGS)('$initiator to $acceptor', ({ initiator, acceptor }) => {
  const pair = (options?: PairOptions): RtcPair => {
    const made = rtcPair(engines[initiator], engines[acceptor], options)
    pairs.push(made)
    return made
  }
  const connect = async (options?: PairOptions): Promise<RtcPair> => {
    const made = await connectedPair(engines[initiator], engines[acceptor], options)
    pairs.push(made)
    return made
  }

  test('the control channel carries messages both ways, whole', async () => {
    const { initiator: near, acceptor: far } = await connect()
    const [atNear, atFar] = [nextMessages(near, 2), nextMessages(far, 2)]
    for (const end of [near, far]) for (const text of ['one', 'two']) end.peer.send(Buffer.from(text))
    expect(await atNear).toEqual(['one', 'two'])
    expect(await atFar).toEqual(['one', 'two'])
  })

  test('both ends name their path, and none before there is one or after it', async () => {
    const made = pair()
    const { initiator: near, acceptor: far } = made
    expect(await selected(near)).toBeNull()
    await bothConnected(made)
    // With several addresses the two ends need not choose the same one.
    for (const [end, other] of [
      [near, far],
      [far, near],
    ] as const) {
      const path = await selected(end)
      expect(path?.local.type).toBe('host')
      expect(candidates(end)).toContain(`${path?.local.address} ${path?.local.port}`)
      expect(candidates(other)).toContain(`${path?.remote.address} ${path?.remote.port}`)
      expect(end.peer.remoteAddress).toBeDefined()
    }
    await made.close()
    expect([await selected(near), await selected(far)]).toEqual([null, null])
  })

  test('several channels, opened early and late, deliver 16 MiB each way in order under back-pressure', async () => {
    const made = pair()
    const early = channelPair(made, 1)
    await bothConnected(made)
    const late = [channelPair(made, 2), channelPair(made, 99, 'last')]
    const channels = await Promise.all([early, ...late])
    expect(channels[2]?.map(({ label, id }) => ({ label, id }))).toEqual(Array(2).fill({ label: 'last', id: 99 }))

    const transfers = channels.flatMap(([near, far], index) => {
      const share = (index === 0 ? 12 : 2) * MIB
      return [transfer(near, far, share, engines[initiator]), transfer(far, near, share, engines[acceptor])]
    })
    for (const { sent, received } of await Promise.all(transfers)) expect(received).toBe(sent)
  })

  test('a channel that one side closes closes on the other, alone', async () => {
    const made = await connect()
    const [kept, gone] = [await channelPair(made, 1), await channelPair(made, 2)]
    const bothClosed = gone.map((channel) => once(channel, 'close'))
    gone[0].close()
    gone[0].bufferedAmountLowThreshold = 2
    await Promise.all(bothClosed)
    expect(gone.map(({ readyState }) => readyState)).toEqual(['closed', 'closed'])
    gone[0].bufferedAmountLowThreshold = 1
    expect(() => gone[0].send(Buffer.from('lost'))).not.toThrow()

    const { sent, received } = await transfer(...kept, 100_000, engines[initiator])
    expect(received).toBe(sent)
  })

  test.each(['initiator', 'acceptor'] as const)('what the %s destroys closes on the other side', async (side) => {
    const made = await connect()
    const [near, far] = await channelPair(made, 1)
    const [end, channel] = side === 'initiator' ? [made.initiator, far] : [made.acceptor, near]
    const other = side === 'initiator' ? made.acceptor : made.initiator
    const heard = [once(channel, 'close'), closing(other.peer)]
    await closed(end.peer)
    await Promise.all(heard)
    expect(channel.readyState).toBe('closed')
  })

  test.each([
    { side: 'initiator', what: 'swapped' },
    { side: 'acceptor', what: 'swapped' },
    { side: 'initiator', what: 'removed' },
    { side: 'acceptor', what: 'removed' },
  ] as const)("with the $side's fingerprint $what on its way nothing opens", async ({ side, what }) => {
    const made = pair({
      carry: (signal, from) => (from === side && 'sdp' in signal ? withFingerprint(signal, what) : signal),
    })
    const victim = side === 'initiator' ? made.acceptor : made.initiator
    const events: string[] = []
    for (const { peer, connection } of [made.initiator, made.acceptor]) {
      peer.on('error', () => events.push('error'))
      const channel = connection.createDataChannel('data', { negotiated: true, id: 1 })
      channel.addEventListener('message', () => events.push('message'))
      peer.on('data', () => events.push('data'))
      peer.on('connect', () => peer.send(Buffer.from('secret')))
    }
    const opening = victim.connection.createDataChannel('victim', { negotiated: true, id: 2 })
    opening.addEventListener('open', () => events.push('open'))
    victim.peer.on('connect', () => events.push('connect'))
    await closing(victim.peer)
    expect(new Set(events)).toEqual(new Set(['error']))
    // werift tells why; of native only the end is seen.
    const reasons = warnings.splice(0).map((fields) => ('err' in fields ? String(fields.err) : fields))
    expect(reasons.filter((reason) => reason !== 'DtlsError: the certificate is not the one announced')).toEqual([])
  })

  test('relays are neither asked for nor offered; STUN servers are asked', async () => {
    const [stun, turn] = [await udpServer(), await udpServer()]
    const asked = once(stun.socket, 'message')
    const made = await connect({
      config: {
        iceServers: [
          { urls: `turn:127.0.0.1:${turn.port}`, username: 'u', credential: 'c' },
          {
            urls: [`stun:127.0.0.1:${stun.port}`, `turn:127.0.0.1:${turn.port}?transport=tcp`],
            username: 'u',
            credential: 'c',
          },
        ],
      },
    })
    await asked
    for (const { signals } of [made.initiator, made.acceptor]) {
      expect(signals.map((signal) => JSON.stringify(signal)).join()).not.toContain('typ relay')
    }
    expect(turn.received).toBe(0)
    await Promise.all([stun, turn].map(({ close }) => close()))
  })

  test('a DTLS handshake survives that its messages arrive twice', async () => {
    const { send } = dgram.Socket.prototype
    jest.spyOn(dgram.Socket.prototype, 'send').mockImplementation(function (this: dgram.Socket, ...parameters) {
      const [packet]: unknown[] = parameters
      if (Buffer.isBuffer(packet) && packet[0] === DTLS_HANDSHAKE) Reflect.apply(send, this, parameters)
      Reflect.apply(send, this, parameters)
    })
    const made = await connect()
    const { sent, received } = await transfer(...(await channelPair(made, 1)), 100_000, engines[initiator])
    expect(received).toBe(sent)
  })

  test('on a host without a network both meet on loopback', async () => {
    const { lo } = os.networkInterfaces()
    jest.spyOn(os, 'networkInterfaces').mockReturnValue({ lo })
    const { initiator: near, acceptor: far } = await connect()
    for (const end of [near, far]) {
      const addresses = new Set(candidates(end).map((candidate) => candidate.split(' ')[0]))
      expect(addresses).toContain('127.0.0.1')
      // werift reads the interfaces by itself, and adds what the real host has.
      if (end.engine.name === 'native') expect(addresses.size).toBe(1)
    }
  })

  test('50 connections leave nothing behind', async () => {
    const own = { werift: await loadEngine('werift', log), native: await loadEngine('native', log) }
    for (let round = 0; round < 5; round++) {
      const made = await Promise.all(Array.from({ length: 10 }, () => connectedPair(own[initiator], own[acceptor])))
      const channels = await Promise.all(made.map((each) => channelPair(each, 1)))
      for (const [near] of channels) near.send(Buffer.from('on the way'))
      await Promise.all(made.map((each) => each.close()))
    }
    await Promise.all(NAMES.map((name) => own[name].close()))
    // werift's last DTLS timers run out by themselves within a second.
    while (Object.entries(resources()).some(([kind, count]) => count > (idle[kind] ?? 0))) await setImmediate()
  })
})

describe.each(NAMES)('a channel of %s', (name) => {
  test('refuses to send before it is open, and fails by itself where the other side takes no message so long', async () => {
    const made = rtcPair(engines[name], engines[name], {
      carry: (signal) =>
        'sdp' in signal ? { ...signal, sdp: signal.sdp.replace(/(?<=max-message-size:)\d+/, '1000') } : signal,
    })
    pairs.push(made)
    const opening = channelPair(made, 1)
    const early = made.initiator.connection.createDataChannel('early', { negotiated: true, id: 2 })
    expect(() => early.send(Buffer.from('x'))).toThrow('not open')
    const [near, far] = await opening
    const bothClosed = [near, far].map((channel) => once(channel, 'close'))
    const failed = once(near, 'error')
    near.send(Buffer.alloc(1001))
    await failed
    await Promise.all(bothClosed)
  })

  test('reports a handler that throws as an uncaught exception, and goes on', async () => {
    const made = await connectedPair(engines[name], engines[name])
    pairs.push(made)
    const [near, far] = await channelPair(made, 1)
    const nextTick = jest.spyOn(process, 'nextTick')
    const thrown: Array<() => void> = []
    const second = new Promise<void>((resolve) => {
      far.onmessage = () => {
        if (thrown.length > 0) return resolve()
        nextTick.mockImplementationOnce((report) => thrown.push(report as () => void))
        throw new Error('a fault in a handler')
      }
    })
    near.send(Buffer.from('1'))
    near.send(Buffer.from('2'))
    await second
    expect(thrown[0]).toThrow('a fault in a handler')
  })
})

function selected({ engine, connection }: RtcEnd): Promise<CandidatePair | null> {
  return engine.selectedPair(connection)
}

/** "ADDRESS PORT" of each candidate the end gave, in its description or after it. */
function candidates({ signals }: RtcEnd): string[] {
  const texts = signals.map((signal) => ('sdp' in signal ? signal.sdp : signal.candidate.candidate))
  return texts.flatMap((text) =>
    [...text.matchAll(/candidate:\S+ \d \S+ \d+ (\S+ \d+) typ/g)].map((match) => String(match[1])),
  )
}

function nextMessages({ peer }: RtcEnd, count: number): Promise<string[]> {
  return new Promise((resolve) => {
    const messages: string[] = []
    peer.on('data', (bytes) => {
      if (messages.push(Buffer.from(bytes).toString()) === count) resolve(messages)
    })
  })
}

/** Sends random messages of 1 byte to the longest, never above the engine's high-water mark; the digests of both ends. */
async function transfer(from: RTCDataChannel, to: RTCDataChannel, total: number, engine: Engine) {
  const received = digest(to, total)
  const hash = createHash('sha256')
  from.bufferedAmountLowThreshold = engine.highWater / 2
  for (let left = total; left > 0; ) {
    const bytes = randomBytes(Math.min(left, randomInt(10) === 0 ? 1 : randomInt(1, LIMITS.messageBytes + 1)))
    // native tells of it late: more may have been sent since.
    while (from.bufferedAmount > engine.highWater) await once(from, 'bufferedamountlow')
    expect(from.bufferedAmount).toBeLessThanOrEqual(engine.highWater)
    from.send(bytes)
    hash.update(bytes)
    left -= bytes.length
  }
  return { sent: hash.digest('hex'), received: await received }
}

function digest(channel: RTCDataChannel, total: number): Promise<string> {
  const hash: Hash = createHash('sha256')
  let count = 0
  return new Promise((resolve) => {
    channel.onmessage = ({ data }) => {
      const bytes = messageBytes(data) ?? new Uint8Array()
      hash.update(bytes)
      count += bytes.length
      if (count >= total) resolve(hash.digest('hex'))
    }
  })
}

function withFingerprint(signal: Signal, what: 'swapped' | 'removed'): Signal {
  if (!('sdp' in signal)) return signal
  const other = randomBytes(32).toString('hex').toUpperCase().match(/../g)?.join(':')
  const lines = what === 'removed' ? '' : `a=fingerprint:sha-256 ${other}\r\n`
  return { ...signal, sdp: signal.sdp.replace(/a=fingerprint:.*\r\n/g, lines) }
}

const STUN_HEADER = 20
const STUN_BINDING_ERROR = 0x0111

/** Answers whatever comes as a STUN server that refuses. */
async function udpServer() {
  const socket = dgram.createSocket('udp4')
  const server = { socket, port: '', received: 0, close: () => new Promise<void>((resolve) => socket.close(resolve)) }
  socket.on('message', (request, { port, address }) => {
    server.received++
    const refusal = Buffer.from(request.subarray(0, STUN_HEADER))
    refusal.writeUInt16BE(STUN_BINDING_ERROR, 0)
    refusal.writeUInt16BE(0, 2)
    socket.send(refusal, port, address)
  })
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  server.port = String(socket.address().port)
  return server
}

/** What keeps the process up, by kind. */
function resources(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
