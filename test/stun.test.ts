import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { classes, Message, methods, parseMessage } from 'werift'
import { answerTo, type StunServer, startStun } from '../signaling/stun.ts'
import { collectingLog } from './support/signaling.ts'

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const hasIPv6 = Object.values(networkInterfaces())
  .flat()
  .some((address) => address?.address === '::1')

async function start(host: string): Promise<StunServer> {
  const server = await startStun(host, 0, collectingLog())
  cleanups.push(() => server.close())
  return server
}

/** Sends datagrams from a new socket on loopback, and returns its port and the first answer. */
async function ask(family: 'udp4' | 'udp6', server: StunServer, ...datagrams: Buffer[]) {
  const socket = createSocket(family)
  cleanups.push(() => void socket.close())
  socket.bind(0, family === 'udp4' ? '127.0.0.1' : '::1')
  await once(socket, 'listening')
  const answered = once(socket, 'message')
  for (const datagram of datagrams) socket.send(datagram, server.port, family === 'udp4' ? '127.0.0.1' : '::1')
  const [answer]: Buffer[] = await answered
  return { port: socket.address().port, answer }
}

const request = () => new Message(methods.BINDING, classes.REQUEST)
const from = { address: '192.0.2.1', port: 4711 }

describe('the STUN server', () => {
  test.each([
    ['127.0.0.1', 'udp4', '127.0.0.1'],
    ['0.0.0.0', 'udp4', '127.0.0.1'],
    ...(hasIPv6
      ? ([
          ['::1', 'udp6', '::1'],
          ['::', 'udp6', '::1'],
          ['::', 'udp4', '127.0.0.1'],
        ] as const)
      : []),
  ] as const)('on %s tells a client over %s its own address', async (host, family, address) => {
    const server = await start(host)
    const binding = request()
    const { port, answer } = await ask(family, server, binding.bytes)
    const message = parseMessage(answer ?? Buffer.alloc(0))
    expect(message).toMatchObject({ messageMethod: methods.BINDING, messageClass: classes.RESPONSE })
    expect(message?.transactionId).toEqual(binding.transactionId)
    const [mapped, mappedPort] = message?.getAttributeValue('XOR-MAPPED-ADDRESS') ?? []
    // werift writes IPv6 addresses in full.
    expect(new URL(`http://${family === 'udp6' ? `[${mapped}]` : mapped}`).hostname).toBe(
      family === 'udp6' ? `[${address}]` : address,
    )
    expect(mappedPort).toBe(port)
  })

  test('counts and drops what is no binding request, and goes on', async () => {
    const server = await start('127.0.0.1')
    const { answer } = await ask('udp4', server, Buffer.from('hello'), Buffer.alloc(0), request().bytes)
    expect(answer).toHaveLength(32)
    expect(server.dropped).toBe(2)
  })

  test('says so when the port is taken', async () => {
    const server = await start('127.0.0.1')
    await expect(startStun('127.0.0.1', server.port, collectingLog())).rejects.toMatchObject({ code: 'listen-failed' })
  })
})

describe('the answer', () => {
  test('is, byte for byte, that of RFC 8489', () => {
    const transaction = Buffer.from('0102030405060708090a0b0c', 'hex')
    const header = Buffer.concat([Buffer.from('00010000' + '2112a442', 'hex'), transaction])
    // 4711 ^ 0x2112 = 0x3375; 192.0.2.1 ^ 0x2112a442 = 0xe112a643
    const expected = `0101000c2112a442${transaction.toString('hex')}00200008000133 75e112a643`.replace(' ', '')
    expect(answerTo(header, from)?.toString('hex')).toBe(expected)
  })

  test('refuses attributes it would have to understand', () => {
    const answer = answerTo(request().appendRawAttribute(0x7ffe, Buffer.alloc(4)).bytes, from)
    const message = parseMessage(answer ?? Buffer.alloc(0))
    expect(message?.messageClass).toBe(classes.ERROR)
    expect(message?.getAttributeValue('ERROR-CODE')).toEqual([420, ''])
    expect(message?.getAttributeValue('UNKNOWN-ATTRIBUTES')).toEqual([0x7ffe])
  })

  test.each([
    ['a response', new Message(methods.BINDING, classes.RESPONSE)],
    ['an indication', new Message(methods.BINDING, classes.INDICATION)],
    ['a request for a relay', new Message(methods.ALLOCATE, classes.REQUEST)],
  ])('is none to %s', (_what, message) => {
    expect(answerTo(message.bytes, from)).toBeNull()
  })

  test('is none, or not much larger than the request, whatever comes', () => {
    const mutated = fc
      .tuple(fc.uint8Array({ maxLength: 64 }), fc.array(fc.tuple(fc.nat(83), fc.nat(255)), { maxLength: 4 }))
      .map(([attributes, changes]) => {
        const bytes = Buffer.concat([request().bytes, attributes])
        bytes.writeUInt16BE(attributes.length, 2)
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
        return bytes
      })
    const anything = fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes))
    fc.assert(
      fc.property(fc.oneof(mutated, anything), (datagram) => {
        const answer = answerTo(datagram, from)
        expect(answer === null || answer.length <= datagram.length + 16).toBe(true)
      }),
      { numRuns: 20_000 },
    )
  })
})
