/** Whoever is on the path, with no key of its own, against our DTLS: each message by itself, in both roles. */
import { createECDH } from 'node:crypto'
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { messageBytes } from '../peer/engines/dtls/fragments.ts'
import type { Flow, Numbered, Parties, Steps } from '../peer/engines/dtls/handshake.ts'
import { clientSteps } from '../peer/engines/dtls/handshake.ts'
import * as hellos from '../peer/engines/dtls/hellos.ts'
import { extendedMasterSecret, sha256, verifyData, writeKeys } from '../peer/engines/dtls/keys.ts'
import * as m from '../peer/engines/dtls/messages.ts'
import { Sealing, type WriteKeys } from '../peer/engines/dtls/protection.ts'
import { CONTENT } from '../peer/engines/dtls/record.ts'
import { altered, type Identity, newIdentity, spoilt, type Way, type Wire, wire } from './support/dtls.ts'

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

function connect(change: Parameters<typeof wire>[2] = {}, way?: Way): Wire {
  const made = wire(identities, way, change)
  open.push(made)
  made.settle()
  return made
}

const change = (type: number, by: (message: Numbered) => Numbered | null) => (message: Numbered) =>
  message.type === type ? by(message) : message

const edited =
  (edit: (body: Buffer) => Buffer) =>
  (message: Numbered): Numbered => ({
    ...message,
    body: edit(Buffer.from(message.body)),
  })

/** Puts `value` at `at`. */
const put = (at: number, ...value: number[]) =>
  edited((body) => {
    body.set(value, at)
    return body
  })

const swapped = (find: Buffer, replacement: Buffer) =>
  edited((body) => {
    const at = body.indexOf(find)
    if (at < 0) throw new Error('not in the message')
    return Buffer.concat([body.subarray(0, at), replacement, body.subarray(at + find.length)])
  })

/** Where a ServerHello has its suite, behind version, random and an empty session id; the compression follows. */
const SUITE_AT = 2 + 32 + 1
const EXTENDED_MASTER_SECRET = Buffer.from('00170000', 'hex')
const RENEGOTIATION = Buffer.from('ff01000100', 'hex')
const POINT_FORMATS = Buffer.from('000b00020100', 'hex')
const UNKNOWN_EXTENSION = Buffer.from('00990000', 'hex')

describe('a client refuses a server', () => {
  const refusals: [what: string, steps: ReturnType<typeof altered> | null, reason: string][] = [
    [
      'that shows the certificate and does not hold its key',
      null,
      'ServerKeyExchange is not signed with the key of the certificate',
    ],
    [
      'whose signature is wrong',
      altered('server', change(m.TYPE.serverKeyExchange, spoilt)),
      'ServerKeyExchange is not signed with the key of the certificate',
    ],
    [
      'that put another point in after signing',
      altered(
        'server',
        change(
          m.TYPE.serverKeyExchange,
          edited((body) => {
            const point = createECDH('prime256v1').generateKeys()
            point.copy(body, 4)
            return body
          }),
        ),
      ),
      'ServerKeyExchange is not signed with the key of the certificate',
    ],
    [
      'that signs by another scheme',
      altered('server', change(m.TYPE.serverKeyExchange, put(4 + m.POINT_BYTES, 4, 1))),
      'ServerKeyExchange is signed by a scheme that was not offered',
    ],
    [
      'that uses another curve',
      altered('server', change(m.TYPE.serverKeyExchange, put(1, 0, 29))),
      'the server chose a curve that was not offered',
    ],
    [
      'that chose another suite',
      altered('server', change(m.TYPE.serverHello, put(SUITE_AT, 0xc0, 0x09))),
      'the server chose a cipher suite that was not offered',
    ],
    [
      'that chose a compression',
      altered('server', change(m.TYPE.serverHello, put(SUITE_AT + 2, 1))),
      'the server chose a compression that was not offered',
    ],
    [
      'that speaks DTLS 1.0',
      altered('server', change(m.TYPE.serverHello, put(0, 0xfe, 0xff))),
      'the server does not speak DTLS 1.2',
    ],
    [
      'without the extended master secret',
      altered('server', change(m.TYPE.serverHello, swapped(EXTENDED_MASTER_SECRET, UNKNOWN_EXTENSION))),
      'ServerHello offers no extended master secret',
    ],
    [
      'that answers what was not asked',
      altered('server', change(m.TYPE.serverHello, swapped(RENEGOTIATION, Buffer.from('0099000100', 'hex')))),
      'the server answers extension 153, which is not for it to answer',
    ],
    [
      'that shows no certificate',
      altered(
        'server',
        change(
          m.TYPE.certificate,
          edited(() => Buffer.alloc(3)),
        ),
      ),
      'a field of Certificate has 0 bytes',
    ],
    [
      'that sends its messages in another order',
      altered('server', (message) =>
        message.type === m.TYPE.certificate
          ? { ...message, sequence: 2 }
          : message.type === m.TYPE.serverKeyExchange
            ? { ...message, sequence: 1 }
            : message,
      ),
      'message 12 came where 11 is due',
    ],
    [
      'that leaves the certificate out',
      altered('server', (message) =>
        message.type === m.TYPE.certificate
          ? null
          : { ...message, sequence: message.sequence - Number(message.sequence > 1) },
      ),
      'message 12 came where 11 is due',
    ],
    [
      'that asks for no certificate',
      altered('server', (message) =>
        message.type === m.TYPE.certificateRequest
          ? null
          : { ...message, sequence: message.sequence - Number(message.sequence > 3) },
      ),
      'message 14 came where 13 is due',
    ],
    [
      'whose Finished is wrong',
      altered('server', change(m.TYPE.finished, spoilt)),
      'Finished does not match the messages before it',
    ],
  ]

  test.each(refusals)('%s', (_what, steps, reason) => {
    const { client } = connect({ server: steps === null ? { key: mallory.key } : { steps } })
    expect(client.events).toEqual([reason])
  })

  test('that shows another certificate', () => {
    const { client } = connect({ server: mallory })
    expect(client.events).toEqual(['the certificate is not the one announced'])
  })

  test('that repeats the signed exchange of an earlier handshake', () => {
    let earlier: Numbered | undefined
    const keep = change(m.TYPE.serverKeyExchange, (message) => (earlier = message))
    connect({ server: { steps: altered('server', keep) } })
    const replay = change(m.TYPE.serverKeyExchange, (message) => earlier ?? message)
    const { client } = connect({ server: { key: mallory.key, steps: altered('server', replay) } })
    expect(client.events).toEqual(['ServerKeyExchange is not signed with the key of the certificate'])
  })
})

describe('a server refuses a client', () => {
  const refusals: [what: string, steps: ReturnType<typeof altered> | null, reason: string][] = [
    [
      'that shows the certificate and does not hold its key',
      null,
      'CertificateVerify is not signed with the key of the certificate',
    ],
    [
      'whose signature is wrong',
      altered('client', change(m.TYPE.certificateVerify, spoilt)),
      'CertificateVerify is not signed with the key of the certificate',
    ],
    [
      'that shows no certificate',
      altered(
        'client',
        change(
          m.TYPE.certificate,
          edited(() => Buffer.alloc(3)),
        ),
      ),
      'a field of Certificate has 0 bytes',
    ],
    [
      'whose point is not on the curve',
      altered('client', change(m.TYPE.clientKeyExchange, spoilt)),
      'the point of the key exchange is not on the curve',
    ],
    [
      'that sends Finished in the place of CertificateVerify',
      altered('client', (message) =>
        message.type === m.TYPE.certificateVerify
          ? { ...m.finished(Buffer.alloc(12)), sequence: message.sequence }
          : message,
      ),
      'message 20 came where 15 is due',
    ],
    [
      'that offers no extended master secret',
      altered('client', change(m.TYPE.clientHello, swapped(EXTENDED_MASTER_SECRET, UNKNOWN_EXTENSION))),
      'ClientHello offers no extended master secret',
    ],
    [
      'that offers an extension twice',
      altered('client', change(m.TYPE.clientHello, swapped(POINT_FORMATS, Buffer.from('001700020000', 'hex')))),
      'ClientHello has extension 23 twice',
    ],
    [
      'that says it renegotiates',
      altered('client', change(m.TYPE.clientHello, swapped(RENEGOTIATION, Buffer.from('ff01000101', 'hex')))),
      'ClientHello: extension 65281 holds something else',
    ],
    [
      'whose Finished is wrong',
      altered('client', change(m.TYPE.finished, spoilt)),
      'Finished does not match the messages before it',
    ],
  ]

  test.each(refusals)('%s', (_what, steps, reason) => {
    const { server } = connect({ client: steps === null ? { key: mallory.key } : { steps } })
    expect(server.events).toEqual([reason])
  })

  test('that shows another certificate', () => {
    const { server } = connect({ client: mallory })
    expect(server.events).toEqual(['the certificate is not the one announced'])
  })

  test('that leaves CertificateVerify out, in what both hash, too', () => {
    const { server, client } = connect({ client: { steps: withoutVerify } })
    client.connection.send(Buffer.from('hello'))
    expect(server).toMatchObject({ events: [], data: [] })
  })

  test('that claims a message that is too long, which is dropped', () => {
    const long = altered(
      'client',
      change(
        m.TYPE.certificate,
        edited(() => Buffer.alloc(9000)),
      ),
    )
    expect(connect({ client: { steps: long } }).server).toMatchObject({ events: [], data: [] })
  })

  test('whose point is written in another way', () => {
    const hybrid = (body: Buffer) => {
      body[1] = 6 + ((body.at(-1) ?? 0) & 1)
      return body
    }
    const { server } = connect({
      client: { steps: altered('client', change(m.TYPE.clientKeyExchange, edited(hybrid))) },
    })
    expect(server.events).toEqual(['the point of ClientKeyExchange is not uncompressed'])
  })

  test('that greets again in the middle of the handshake', () => {
    const again = (parties: Parties, flow: Flow): Steps => {
      const honest = clientSteps(parties, flow)
      return (function* () {
        honest.next()
        const hello = yield
        flow.send([{ ...hellos.clientHello(Buffer.alloc(32, 7), Buffer.of()), sequence: 1 }])
        honest.next(hello)
        for (;;) honest.next(yield)
      })()
    }
    expect(connect({ client: { steps: again } }).server.events).toEqual(['message 1 came where 11 is due'])
  })

  test('that sends data and no Finished', () => {
    let keys: WriteKeys | undefined
    const stealing = (parties: Parties, flow: Flow): Steps => {
      const useKeys: Flow['useKeys'] = (both) => {
        keys = both.client
        flow.useKeys(both)
      }
      return clientSteps(parties, { send: (flight) => flow.send(flight), useKeys })
    }
    const { server } = connect({ client: { steps: stealing } })
    if (keys === undefined) throw new Error('the client has no keys')
    server.connection.receive(new Sealing(keys).seal(CONTENT.applicationData, Buffer.from('early')))
    expect(server).toMatchObject({ events: [], data: [] })
  })
})

/** A client that proves nothing about its certificate, and hashes what it sends. */
function* withoutVerify(parties: Parties, flow: Flow): Steps {
  const messages: Buffer[] = []
  let sent = 0
  const add = (message: { type: number; body: Buffer }): Numbered => {
    messages.push(messageBytes(message, sent))
    return { ...message, sequence: sent++ }
  }
  const random = Buffer.alloc(32, 1)
  flow.send([add(hellos.clientHello(random, Buffer.of()))])
  const answers: Numbered[] = []
  for (let at = 0; at < 5; at++) {
    const answer = yield
    answers.push(answer)
    messages.push(messageBytes(answer, answer.sequence))
  }
  const randoms = { client: random, server: hellos.parseServerHello(answers[0]?.body ?? Buffer.of()) }
  const ecdh = createECDH('prime256v1')
  const flight = [m.certificate(parties.certificate), m.clientKeyExchange(ecdh.generateKeys())].map(add)
  const { point } = m.parseServerKeyExchange(answers[2]?.body ?? Buffer.of())
  const master = extendedMasterSecret(ecdh.computeSecret(point), sha256(...messages))
  flow.useKeys(writeKeys(master, randoms))
  flow.send(flight, add(m.finished(verifyData(master, 'client', sha256(...messages)))))
  yield
  throw new Error('the server answered')
}
