/** DTLS of our own: two honest ends, over ways that lose, repeat and reorder. */
import { afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals'
import type { DtlsConnection } from '../peer/engines/dtls/connection.ts'
import { messageBytes } from '../peer/engines/dtls/fragments.ts'
import { clientSteps, type Flow, type Parties } from '../peer/engines/dtls/handshake.ts'
import { TYPE } from '../peer/engines/dtls/messages.ts'
import { ReplayWindow, Sealing, type WriteKeys } from '../peer/engines/dtls/protection.ts'
import { CONTENT } from '../peer/engines/dtls/record.ts'
import { dtlsEnd, type Identity, newIdentity, type Way, type Wire, wire } from './support/dtls.ts'

let identities: { client: Identity; server: Identity }
const open: Wire[] = []

beforeAll(async () => {
  identities = { client: await newIdentity(), server: await newIdentity() }
})

afterEach(() => {
  for (const { client, server } of open.splice(0)) for (const end of [client, server]) end.connection.close()
  jest.useRealTimers()
})

function connect(way?: Way, change?: Parameters<typeof wire>[2]): Wire {
  const made = wire(identities, way, change)
  open.push(made)
  made.settle()
  return made
}

function expectWorking({ client, server, settle }: Wire): void {
  client.connection.send(Buffer.from('to the server'))
  server.connection.send(Buffer.from('to the client'))
  settle()
  expect(client).toMatchObject({ events: ['connected'], data: ['to the client'] })
  expect(server).toMatchObject({ events: ['connected'], data: ['to the server'] })
}

test('both ends connect, carry data both ways, and export the same keying material', () => {
  const made = connect()
  expectWorking(made)
  const [near, far] = [made.client, made.server].map(({ connection }) =>
    connection.exportKeyingMaterial('EXPORTER-x', 48),
  )
  expect(near).toEqual(far)
  expect(near).toHaveLength(48)
  expect(made.client.connection.exportKeyingMaterial('EXPORTER-y', 48)).not.toEqual(near)
  expect(connect().client.connection.exportKeyingMaterial('EXPORTER-x', 48)).not.toEqual(near)
})

test('a handshake takes four flights, each in one datagram that passes every path', () => {
  const sizes: number[] = []
  connect((datagram) => {
    sizes.push(datagram.length)
    return [datagram]
  })
  expect(sizes).toHaveLength(4)
  expect(Math.max(...sizes)).toBeLessThan(1200)
})

test.each([0, 1, 2, 3])('flight %i lost twice is sent again', (lost) => {
  jest.useFakeTimers()
  const roles = ['client', 'server', 'client', 'server'] as const
  let left = 2
  const made = connect((datagram, from, count) => {
    const isLost = from === roles[lost] && count >= Math.floor(lost / 2) && left > 0
    if (isLost) left--
    return isLost ? [] : [datagram]
  })
  for (let repeat = 0; repeat < 4; repeat++) {
    jest.advanceTimersToNextTimer()
    made.settle()
  }
  expect(left).toBe(0)
  expectWorking(made)
})

test('a side that hears nothing gives up', () => {
  jest.useFakeTimers()
  const { client, server } = connect((datagram, from) => (from === 'client' ? [] : [datagram]))
  jest.runAllTimers()
  expect(client.events).toEqual(['the other side does not answer'])
  expect(server.events).toEqual([])
})

test('datagrams that come twice, in pieces and in the wrong order change nothing', () => {
  const made = connect((datagram) => {
    const records: Buffer[] = []
    for (let at = 0; at < datagram.length; at += 13 + datagram.readUInt16BE(at + 11)) {
      records.push(datagram.subarray(at, at + 13 + datagram.readUInt16BE(at + 11)))
    }
    return [...records, ...records].reverse()
  })
  expectWorking(made)
})

test.each<[string, (connection: () => DtlsConnection | undefined) => void]>([
  ['is closed', (connection) => connection()?.close()],
  [
    'cannot send',
    () => {
      throw new Error('no route')
    },
  ],
])('an end that %s as it begins sends nothing more', (_what, happens) => {
  jest.useFakeTimers()
  let sent = 0
  let made: DtlsConnection | undefined
  const send = () => {
    sent++
    happens(() => made)
  }
  const { client, server } = identities
  made = dtlsEnd({ role: 'client', ...client, expected: server.fingerprint, send }).connection
  made.start()
  jest.runAllTimers()
  expect(sent).toBe(1)
})

test('a server sends its last flight again for a Finished that is repeated, and for nothing else', () => {
  const datagrams: Buffer[] = []
  let keys: WriteKeys | undefined
  const stealing = (parties: Parties, flow: Flow) =>
    clientSteps(parties, {
      send: flow.send,
      useKeys: (both) => {
        keys = both.client
        flow.useKeys(both)
      },
    })
  const made = connect(
    (datagram, from) => {
      if (from === 'server') datagrams.push(datagram)
      return [datagram]
    },
    { client: { steps: stealing } },
  )
  if (keys === undefined) throw new Error('the client has no keys')
  const sealing = new Sealing(keys)
  // The first number is that of the Finished.
  sealing.seal(CONTENT.handshake, Buffer.alloc(1))
  const [before] = [datagrams.length]
  const old = messageBytes({ type: TYPE.certificate, body: Buffer.of() }, 1)
  made.server.connection.receive(sealing.seal(CONTENT.handshake, Buffer.concat(Array.from({ length: 100 }, () => old))))
  expect(datagrams).toHaveLength(before)
  const finished = messageBytes({ type: TYPE.finished, body: Buffer.alloc(12) }, 4)
  made.server.connection.receive(sealing.seal(CONTENT.handshake, Buffer.concat([finished, finished])))
  expect(datagrams).toHaveLength(before + 1)
})

test('data that overtakes the last flight is kept until that has come', () => {
  const held: Buffer[] = []
  const made = connect((datagram, from, count) => {
    if (from !== 'server' || count !== 1) return [datagram]
    held.push(datagram)
    return []
  })
  made.server.connection.send(Buffer.from('early'))
  made.settle()
  expect(made.client).toMatchObject({ events: [], data: [] })
  for (const datagram of held) made.client.connection.receive(datagram)
  expect(made.client).toMatchObject({ events: ['connected'], data: ['early'] })
})

test('a record counts once, however often it comes', () => {
  const made = connect((datagram) => [datagram, datagram])
  made.client.connection.send(Buffer.from('once'))
  made.settle()
  expect(made.server.data).toEqual(['once'])
})

describe('the replay window', () => {
  test('takes each number once, in any order, down to 1,024 behind the newest', () => {
    const window = new ReplayWindow()
    for (const number of [0, 2, 1, 2000, 1000, 1999]) {
      expect(window.isNew(number)).toBe(true)
      window.note(number)
      expect(window.isNew(number)).toBe(false)
    }
    expect([976, 977].map((number) => window.isNew(number))).toEqual([false, true])
    // The place of 2000, a window before it and after it
    expect([976, 3024].map((number) => window.isNew(number))).toEqual([false, true])
  })
})
