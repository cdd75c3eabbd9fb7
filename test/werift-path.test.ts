/** Who may send to a connection of werift. */
import dgram from 'node:dgram'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Message, parseMessage, type RTCIceTransport, RTCPeerConnection, StunProtocol } from 'werift'
import { hostAddresses } from '../peer/engines/ice.ts'
import { loadEngine } from '../peer/engines/index.ts'
import { guardPath } from '../peer/engines/werift-path.ts'
import type { Engine } from '../shared/engine.ts'
import { LIMITS } from '../shared/limits.ts'
import { silentLog } from './support/links.ts'
import { rtcEnd } from './support/rtc-pair.ts'

const BINDING = 1
const REQUEST = 0
let engine: Engine

beforeAll(async () => {
  engine = await loadEngine('werift', silentLog)
})

afterAll(() => engine.close())

test('data counts from the addresses of candidates, on the socket that the candidate is for', () => {
  const received: string[] = []
  const protocol = () => ({ datagramReceived: (datagram: Buffer) => received.push(datagram.toString()) })
  const [one, two] = [protocol(), protocol()]
  const agent = {
    localPassword: 'password',
    remoteCandidates: [],
    earlyChecks: [],
    switchRole: () => undefined,
    checkList: [{ protocol: one, remoteAddr: ['192.0.2.1', 1000] }],
    ensureProtocol: () => undefined,
  }
  guardPath({ connection: agent } as unknown as RTCIceTransport)
  const ensure = agent.ensureProtocol as (protocol: object) => void
  for (const made of [one, two]) ensure(made)
  const send = (to: object, data: string, host: string, port: number) =>
    (to as { datagramReceived: (datagram: Buffer, from: [string, number]) => void }).datagramReceived(
      Buffer.from(data),
      [host, port],
    )
  send(one, 'from the peer', '192.0.2.1', 1000)
  send(one, 'from another port', '192.0.2.1', 1001)
  send(one, 'from another host', '192.0.2.2', 1000)
  send(two, 'to another socket', '192.0.2.1', 1000)
  expect(received).toEqual(['from the peer'])
})

test('a check without the password is not answered, nor is anything sent because of it', async () => {
  const { peer, signals } = rtcEnd(engine, true)
  peer.on('signal', (signal) => signals.push(signal))
  // From loopback no peer comes, where there is a network.
  const here = hostAddresses().find(isIPv4) ?? '127.0.0.1'
  const stranger = dgram.createSocket('udp4').bind(0, here)
  await once(stranger, 'listening')
  try {
    const text = () => signals.map((signal) => JSON.stringify(signal)).join('\n')
    // The description, and a candidate in it or after it
    const found = (what: RegExp) => what.exec(text())?.[1]
    const address = () => /candidate:\S+ \d+ udp \d+ [\d.]+ (\d+) typ host/i.exec(text())?.[1]
    while (found(/ice-pwd:([^\\]+)/) === undefined || address() === undefined)
      await new Promise<void>((resolve) => peer.once('signal', () => resolve()))
    const [ufrag, password, port] = [
      found(/ice-ufrag:([^\\]+)/) ?? '',
      found(/ice-pwd:([^\\]+)/) ?? '',
      Number(address()),
    ]
    const check = (key: string | null) => {
      const request = new Message(BINDING, REQUEST)
      request
        .setAttribute('USERNAME', `${ufrag}:stranger`)
        .setAttribute('PRIORITY', 1)
        .setAttribute('USE-CANDIDATE', null)
      request.setAttribute('ICE-CONTROLLED', 0n)
      if (key !== null) request.addMessageIntegrity(Buffer.from(key))
      return request.addFingerprint()
    }
    const answers: string[] = []
    stranger.on('message', (datagram) => answers.push(parseMessage(datagram)?.transactionIdHex ?? 'no STUN'))
    const [unsigned, wrong, right] = [check(null), check('x'.repeat(password.length)), check(password)]
    for (const request of [unsigned, wrong, right]) stranger.send(request.bytes, port, here)
    // On one socket answers leave in the order of the questions.
    await once(stranger, 'message')
    expect(answers).toEqual([right.transactionIdHex])
  } finally {
    peer.destroy()
    stranger.close()
  }
})

interface Protocol {
  datagramReceived(datagram: Buffer, from: [host: string, port: number]): void
  sendStun(): Promise<void>
}

describe('a guarded agent', () => {
  const connections: RTCPeerConnection[] = []
  afterEach(async () => {
    await Promise.all(connections.splice(0).map((connection) => connection.close()))
  })

  /** One that nobody is connected to, what reached it, and how to send to it from an address. */
  function alone() {
    const connection = new RTCPeerConnection({ iceServers: [] })
    connections.push(connection)
    connection.createDataChannel('x', { negotiated: true, id: 0 })
    const [transport] = connection.iceTransports
    if (transport === undefined) throw new Error('werift made no transport')
    guardPath(transport)
    const agent = transport.connection as unknown as {
      localPassword: string
      localUsername: string
      iceControlling: boolean
      earlyChecks: unknown[]
      ensureProtocol: (protocol: object) => void
    }
    agent.iceControlling = false
    const reached: Buffer[] = []
    transport.connection.onData.subscribe((data) => reached.push(data))
    const protocol = new StunProtocol() as unknown as Protocol
    // What it would send goes nowhere.
    protocol.sendStun = async () => undefined
    agent.ensureProtocol(protocol)
    const check = (...attributes: string[]) => {
      const request = new Message(BINDING, REQUEST)
      request.setAttribute('USERNAME', `${agent.localUsername}:peer`).setAttribute('PRIORITY', 1)
      request.setAttribute('ICE-CONTROLLING', 5n)
      request.addMessageIntegrity(Buffer.from(agent.localPassword)).addFingerprint()
      const bytes = Buffer.concat([request.bytes, ...attributes.map((attribute) => Buffer.from(attribute, 'hex'))])
      bytes.writeUInt16BE(bytes.length - 20, 2)
      return bytes
    }
    const receive = (datagram: Buffer, host = '203.0.113.66', port = 6666) =>
      protocol.datagramReceived(datagram, [host, port])
    return { agent, reached, check, receive }
  }

  test('hands on no message that is STUN and DTLS at once', () => {
    const { reached, receive } = alone()
    const both = Buffer.alloc(20 + 0xfd00)
    // STUN: a response of 0xfd00 bytes. DTLS: a record of version 0xfefd and 7 bytes, and then another.
    both.writeUInt32BE(0x01fefd00, 0)
    both.writeUInt32BE(0x2112a442, 4)
    both.writeUInt16BE(7, 11)
    receive(both)
    expect(reached).toEqual([])
  })

  test.each([
    ['an attribute behind MESSAGE-INTEGRITY and FINGERPRINT', '802900080000000000000000'],
    ['a second FINGERPRINT', '8028000400000000'],
  ])('takes no check with %s', (_what, attribute) => {
    const { agent, check, receive } = alone()
    receive(check(attribute))
    expect(agent).toMatchObject({ iceControlling: false, earlyChecks: [] })
    receive(check())
    expect(agent.earlyChecks).toHaveLength(1)
  })

  test('takes checks from 32 addresses, and from none where no peer can be', () => {
    const { agent, check, receive } = alone()
    for (const [host, port] of [
      ['169.254.169.254', 80],
      ['224.0.0.1', 5000],
      ['192.168.1.1', 161],
      ['::', 9],
    ] as const) {
      receive(check(), host, port)
    }
    expect(agent.earlyChecks).toEqual([])
    for (let port = 1025; port < 1200; port++) receive(check(), '203.0.113.66', port)
    expect(agent.earlyChecks).toHaveLength(LIMITS.candidatesPerLink)
  })

  test('is told of no change of roles', () => {
    const { agent, check, receive } = alone()
    agent.iceControlling = true
    receive(check())
    expect(agent.iceControlling).toBe(true)
  })
})

test('werift that lacks what is replaced inside it is refused', () => {
  expect(() => guardPath({ connection: { checkList: [] } } as unknown as RTCIceTransport)).toThrow(
    expect.objectContaining({
      code: 'engine-missing',
      message:
        'an ICE agent of this werift lacks localPassword, remoteCandidates, earlyChecks, ensureProtocol, switchRole',
    }),
  )
})
