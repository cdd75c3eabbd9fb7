/** Who is on the path, with no key and no certificate of its own, between and against real engines. */
import dgram from 'node:dgram'
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals'
import type { Signal } from 'simple-peer'
import { messageBytes } from '../peer/engines/dtls/fragments.ts'
import * as hellos from '../peer/engines/dtls/hellos.ts'
import type { Role } from '../peer/engines/dtls/keys.ts'
import * as m from '../peer/engines/dtls/messages.ts'
import { CONTENT } from '../peer/engines/dtls/record.ts'
import { weriftEngine } from '../peer/engines/werift.ts'
import type { DtlsOverrides } from '../peer/engines/werift-dtls.ts'
import type { Engine } from '../shared/engine.ts'
import { type Bridge, bridge } from './support/bridge.ts'
import { altered, type Identity, newIdentity, plainRecord, spoilt } from './support/dtls.ts'
import { availableEngines, silentLog } from './support/links.ts'
import { closing, connectedPair, type RtcPair, rtcPair } from './support/rtc-pair.ts'

const engines = await availableEngines()
const pairs = engines.flatMap((one) => engines.map((two) => [one.name, two.name, one, two] as const))
const victims = engines.flatMap((engine) =>
  (['client', 'server'] as const).map((role) => [engine.name, role, engine] as const),
)
let honest: Identity
let mallory: Identity
const open: RtcPair[] = []
const bridges: Bridge[] = []
const attackers: Engine[] = []

beforeAll(async () => {
  ;[honest, mallory] = [await newIdentity(), await newIdentity()]
})

afterEach(async () => {
  jest.restoreAllMocks()
  await Promise.all(open.splice(0).map((pair) => pair.close()))
  for (const made of bridges.splice(0)) made.close()
})

afterAll(async () => {
  await Promise.all([...engines, ...attackers].map((engine) => engine.close()))
})

describe.each(pairs)('on the path from %s to %s', (_one, _two, initiator, acceptor) => {
  test('a bridge that only hands on is not noticed', async () => {
    const between = await bridge(null)
    bridges.push(between)
    const pair = await connectedPair(initiator, acceptor, { carry: between.carry })
    open.push(pair)
    const arrived = new Promise((resolve) => pair.acceptor.peer.once('data', resolve))
    pair.initiator.peer.send(Buffer.from('receipt'))
    expect(String(await arrived)).toBe('receipt')
    expect(between.datagrams.initiator).toBeGreaterThan(2)
    expect(between.datagrams.acceptor).toBeGreaterThan(2)
  })

  test('a man in the middle who shows each side the certificate of the other reads nothing', async () => {
    const between = await bridge(mallory)
    bridges.push(between)
    const pair = rtcPair(initiator, acceptor, { carry: between.carry })
    open.push(pair)
    const happened: string[] = []
    let read: () => void = () => undefined
    const wasRead = new Promise<void>((resolve) => (read = resolve))
    for (const { peer } of [pair.initiator, pair.acceptor]) {
      peer.on('error', () => undefined)
      peer.on('connect', () => {
        happened.push('connect')
        peer.send(Buffer.from('receipt'))
      })
      peer.on('data', () => {
        happened.push('data')
        read()
      })
    }
    await Promise.race([closing(pair.initiator.peer), closing(pair.acceptor.peer), wasRead])
    expect(between.datagrams.initiator).toBeGreaterThan(0)
    expect(between.datagrams.acceptor).toBeGreaterThan(0)
    expect(happened).toEqual([])
    expect(between.middle?.events.filter((event) => event.startsWith('connected'))).toEqual([])
    expect(between.middle?.read).toEqual([])
  })
})

/** What a peer's descriptions become, so that it is the DTLS end of `role`, and announces the certificate of `honest`. */
function announcing(victim: 'initiator' | 'acceptor', role: Role) {
  const fingerprint = honest.fingerprint.toString('hex').toUpperCase().match(/../g)?.join(':')
  return (signal: Signal, from: 'initiator' | 'acceptor'): Signal => {
    if (!('sdp' in signal)) return signal
    const isVictim = from === victim
    const end = isVictim === (role === 'client') ? 'active' : 'passive'
    const sdp = signal.sdp.replace(/a=setup:\w+/g, `a=setup:${end}`)
    return {
      ...signal,
      sdp: isVictim ? sdp : sdp.replace(/a=fingerprint:\S+ \S+/g, `a=fingerprint:sha-256 ${fingerprint}`),
    }
  }
}

describe.each(victims)('%s as the DTLS %s refuses a peer', (_name, role, victim) => {
  // Which of the two makes the offer decides who is what: an attacker that answers as the client faces a server.
  const victimOffers = role === 'server'
  const other = role === 'client' ? 'server' : 'client'
  const type = role === 'client' ? m.TYPE.serverKeyExchange : m.TYPE.certificateVerify

  const attack = async (overrides: DtlsOverrides) => {
    const attacker = weriftEngine(silentLog, overrides)
    attackers.push(attacker)
    const [initiator, acceptor] = victimOffers ? [victim, attacker] : [attacker, victim]
    const pair = rtcPair(initiator, acceptor, { carry: announcing(victimOffers ? 'initiator' : 'acceptor', role) })
    open.push(pair)
    const [prey, hunter] = victimOffers ? [pair.initiator, pair.acceptor] : [pair.acceptor, pair.initiator]
    const events: string[] = []
    prey.peer.on('connect', () => events.push('connect'))
    prey.peer.on('error', () => events.push('error'))
    hunter.peer.on('error', () => undefined)
    return { prey, hunter, events }
  }

  test('that holds the key of the announced certificate (which shows that the refusals below have their reason)', async () => {
    const { prey } = await attack({ certificate: honest.certificate, key: honest.key })
    await new Promise<void>((resolve) => prey.peer.once('connect', resolve))
  })

  test.each<[string, () => DtlsOverrides]>([
    [
      'that shows the announced certificate without its key',
      () => ({ certificate: honest.certificate, key: mallory.key }),
    ],
    ['that shows another certificate', () => mallory],
    [
      'whose signature is wrong',
      () => ({ ...honest, steps: altered(other, (message) => (message.type === type ? spoilt(message) : message)) }),
    ],
    [
      'whose Finished is wrong',
      () => ({
        ...honest,
        steps: altered(other, (message) => (message.type === m.TYPE.finished ? spoilt(message) : message)),
      }),
    ],
  ])('%s', async (_what, overrides) => {
    const { prey, hunter, events } = await attack(overrides())
    await Promise.race([closing(prey.peer), closing(hunter.peer)])
    expect(events).not.toContain('connect')
  })
})

describe.each(engines.map((engine) => [engine.name, engine] as const))('%s in a link that is up', (_name, victim) => {
  test('takes nothing that comes without keys, from the address of the other side', async () => {
    // The other side is werift, so that the test finds the socket to send from.
    const [werift] = engines
    if (werift === undefined) throw new Error('no engine')
    const sockets = new Map<dgram.Socket, unknown[]>()
    const { send } = dgram.Socket.prototype
    jest.spyOn(dgram.Socket.prototype, 'send').mockImplementation(function (this: dgram.Socket, ...parameters) {
      const [datagram, ...where] = parameters as unknown as [Buffer, ...unknown[]]
      if ((datagram[0] ?? 0) >= CONTENT.changeCipherSpec) sockets.set(this, where)
      Reflect.apply(send, this, parameters)
    })
    const pair = await connectedPair(werift, victim)
    open.push(pair)
    const random = Buffer.alloc(32, 9)
    const records = [
      plainRecord(CONTENT.alert, Buffer.of(2, 0)),
      plainRecord(CONTENT.alert, Buffer.of(1, 0)),
      plainRecord(CONTENT.applicationData, Buffer.from('plain')),
      plainRecord(99, Buffer.from('unknown')),
      ...[
        hellos.clientHello(random, Buffer.of()),
        m.certificate(mallory.certificate),
        m.serverHelloDone(),
        m.finished(Buffer.alloc(12)),
      ].flatMap((message) =>
        [0, 1, 5, 7].map((sequence) => plainRecord(CONTENT.handshake, messageBytes(message, sequence))),
      ),
    ]
    for (const [socket, where] of sockets) for (const record of records) Reflect.apply(send, socket, [record, ...where])
    const { initiator, acceptor } = pair
    for (const [from, to] of [
      [initiator, acceptor],
      [acceptor, initiator],
    ] as const) {
      const arrived = new Promise((resolve) => to.peer.once('data', resolve))
      from.peer.send(Buffer.from('still there'))
      expect(String(await arrived)).toBe('still there')
    }
  })
})
