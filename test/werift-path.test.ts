/** Who may send to a connection of werift. */
import dgram from 'node:dgram'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Message, parseMessage, type RTCIceTransport } from 'werift'
import { loadEngine } from '../peer/engines/index.ts'
import { guardPath } from '../peer/engines/werift-path.ts'
import type { Engine } from '../shared/engine.ts'
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
  const stranger = dgram.createSocket('udp4').bind(0, '127.0.0.1')
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
    for (const request of [unsigned, wrong, right]) stranger.send(request.bytes, port, '127.0.0.1')
    // On one socket answers leave in the order of the questions.
    await once(stranger, 'message')
    expect(answers).toEqual([right.transactionIdHex])
  } finally {
    peer.destroy()
    stranger.close()
  }
})

test('werift that lacks what is replaced inside it is refused', () => {
  expect(() => guardPath({ connection: { checkList: [] } } as unknown as RTCIceTransport)).toThrow(
    expect.objectContaining({
      code: 'engine-missing',
      message: 'an ICE agent of this werift lacks localPassword, ensureProtocol',
    }),
  )
})
