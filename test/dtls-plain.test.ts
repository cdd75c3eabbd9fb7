/** What comes without keys, or not as the other side wrote it: it counts for nothing. */
import { createECDH, sign } from 'node:crypto'
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { messageBytes } from '../peer/engines/dtls/fragments.ts'
import * as hellos from '../peer/engines/dtls/hellos.ts'
import type { Role } from '../peer/engines/dtls/keys.ts'
import * as m from '../peer/engines/dtls/messages.ts'
import { CONTENT } from '../peer/engines/dtls/record.ts'
import { type Identity, lastRecordAt, newIdentity, plainRecord, type Way, type Wire, wire } from './support/dtls.ts'

let identities: { client: Identity; server: Identity }
let mallory: Identity
const open: Wire[] = []

beforeAll(async () => {
  identities = { client: await newIdentity(), server: await newIdentity() }
  mallory = await newIdentity()
})

afterEach(() => {
  for (const { client, server } of open.splice(0)) for (const end of [client, server]) end.connection.close()
})

function connect(way?: Way): Wire {
  const made = wire(identities, way)
  open.push(made)
  made.settle()
  return made
}

/** What anybody can write without keys: each as a record with a number nobody has seen, and each as the next message. */
function plainRecords(role: Role): Buffer[] {
  const random = Buffer.alloc(32, 9)
  const { certificate } = mallory
  const exchange = m.serverKeyExchange(createECDH('prime256v1').generateKeys(), (parameters) =>
    sign('sha256', parameters, mallory.key),
  )
  const messages = [
    { type: 0, body: Buffer.of() },
    hellos.clientHello(random, Buffer.of()),
    hellos.serverHello(random, { random, asksRenegotiation: true, asksPointFormats: true }),
    { type: m.TYPE.helloVerifyRequest, body: Buffer.from('fefd0101', 'hex') },
    m.certificate(certificate),
    exchange,
    m.certificateRequest(),
    m.serverHelloDone(),
    m.certificateVerify(Buffer.alloc(70)),
    m.clientKeyExchange(createECDH('prime256v1').generateKeys()),
    m.finished(Buffer.alloc(12)),
  ]
  const numbers = role === 'client' ? [0, 5, 6, 7] : [0, 1, 2, 3, 4, 5]
  const handshakes = messages.flatMap((message) =>
    numbers.map((number) => plainRecord(CONTENT.handshake, messageBytes(message, number))),
  )
  const alerts = [0, 10, 40, 90].flatMap((code) =>
    [1, 2].map((level) => plainRecord(CONTENT.alert, Buffer.of(level, code))),
  )
  const others = [
    plainRecord(CONTENT.changeCipherSpec, Buffer.of(1)),
    plainRecord(CONTENT.applicationData, Buffer.from('plain data')),
    plainRecord(24, Buffer.from('heartbeat')),
    plainRecord(99, Buffer.from('unknown')),
    plainRecord(CONTENT.handshake, Buffer.of()),
    plainRecord(CONTENT.handshake, Buffer.alloc(5)),
    plainRecord(CONTENT.handshake, Buffer.alloc(64, 0xff)),
  ]
  return [...handshakes, ...alerts, ...others]
}

describe.each(['client', 'server'] as const)(
  'once a %s has keys, what comes without them counts for nothing',
  (role) => {
    const other = role === 'client' ? 'server' : 'client'

    test('after the handshake', () => {
      const made = connect()
      const victim = made[role]
      for (const record of plainRecords(role)) victim.connection.receive(record)
      made.settle()
      made[other].connection.send(Buffer.from('real'))
      victim.connection.send(Buffer.from('back'))
      made.settle()
      expect(victim).toMatchObject({ events: ['connected'], data: ['real'] })
      expect(made[other].data).toEqual(['back'])
    })

    test('before the other side has finished', () => {
      const held: Buffer[] = []
      // The client waits for the server's Finished; the server has the client's flight but for its Finished.
      const made = connect((datagram, from, count) => {
        if (from !== other || count !== 1) return [datagram]
        const at = role === 'client' ? 0 : lastRecordAt(datagram)
        held.push(datagram.subarray(at))
        return at === 0 ? [] : [datagram.subarray(0, at)]
      })
      const victim = made[role]
      for (const record of plainRecords(role)) victim.connection.receive(record)
      made.settle()
      expect(victim).toMatchObject({ events: [], data: [] })
      for (const datagram of held) victim.connection.receive(datagram)
      made.settle()
      expect(victim.events).toEqual(['connected'])
      expect(made[other].events).toEqual(['connected'])
    })

    test('before there are keys, alerts, data, and records of other kinds', () => {
      const made = wire(identities)
      open.push(made)
      const victim = made[role]
      for (const record of plainRecords(role)) if (record[0] !== CONTENT.handshake) victim.connection.receive(record)
      made.settle()
      expect(victim).toMatchObject({ events: ['connected'], data: [] })
    })
  },
)

test('a changed record of data is dropped, and so is one of an end that is over', () => {
  const made = connect((datagram, _from, count) => {
    if (count < 2) return [datagram]
    const changed = Buffer.from(datagram)
    changed[20] = (changed[20] ?? 0) ^ 1
    return [changed, datagram]
  })
  made.client.connection.send(Buffer.from('x'))
  made.settle()
  expect(made.server).toMatchObject({ events: ['connected'], data: ['x'] })
  made.server.connection.close()
  made.client.connection.send(Buffer.from('y'))
  made.settle()
  expect(made.server.data).toEqual(['x'])
})
