import { createSocket, type RemoteInfo } from 'node:dgram'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { classes, Message, methods, parseMessage } from 'werift'
import {
  answerTo,
  type Others,
  type StunOptions,
  type StunOrigin,
  type StunServer,
  startStun,
} from '../signaling/stun.ts'
import { runs } from './support/sample.ts'
import { collectingLog } from './support/signaling.ts'

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const hasIPv6 = Object.values(networkInterfaces())
  .flat()
  .some((address) => address?.address === '::1')

async function start(host: string, more: Partial<StunOptions> = {}): Promise<StunServer> {
  const log = collectingLog()
  const server = await startStun({ host, port: 0, alternatePort: 0, alternateAddress: null, log, ...more })
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
    const taken = { code: 'listen-failed', message: expect.stringContaining(`127.0.0.1:${server.port}`) }
    await expect(start('127.0.0.1', { port: server.port })).rejects.toMatchObject(taken)
    await expect(start('127.0.0.1', { alternatePort: server.port })).rejects.toMatchObject(taken)
  })

  test.each([
    ['one port', { alternatePort: null }, 1],
    ['two ports', {}, 2],
    ['two addresses', { alternateAddress: '127.0.0.2' }, 4],
  ])('with %s answers from each socket it has, wherever it was asked', async (_what, options, sockets) => {
    if ('alternateAddress' in options && process.platform !== 'linux') return
    const server = await start('127.0.0.1', options)
    const [ports, addresses] = [
      [server.port, server.alternatePort ?? 0],
      ['127.0.0.1', '127.0.0.2'],
    ] as const
    const socket = createSocket('udp4')
    cleanups.push(() => void socket.close())
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    let answered = 0
    for (const [row, address] of addresses.entries()) {
      for (const [column, port] of ports.entries()) {
        if (row * 2 + column >= sockets) continue
        for (const change of [0, 2, 4, 6]) {
          const [toRow, toColumn] = [change & 4 ? 1 - row : row, change & 2 ? 1 - column : column]
          const possible = toRow * 2 + toColumn < sockets
          const answer = once(socket, 'message')
          socket.send(request().setAttribute('CHANGE-REQUEST', change).bytes, port, address)
          const [bytes, from] = (await answer) as [Buffer, RemoteInfo]
          expect({ address: from.address, port: from.port }).toEqual(
            possible ? { address: addresses[toRow], port: ports[toColumn] } : { address, port },
          )
          const message = parseMessage(bytes)
          expect(message?.messageClass).toBe(possible ? classes.RESPONSE : classes.ERROR)
          if (!possible) expect(message?.getAttributeValue('UNKNOWN-ATTRIBUTES')).toEqual([3])
          answered++
        }
      }
    }
    expect(answered).toBe(sockets * 4)
  })

  test('without a second port closes the first when the second is taken', async () => {
    const [holder, free] = [await start('127.0.0.1'), await start('127.0.0.1')]
    await free.close()
    cleanups.splice(cleanups.length - 1)
    await expect(start('127.0.0.1', { port: free.port, alternatePort: holder.port })).rejects.toThrow()
    expect((await start('127.0.0.1', { port: free.port })).port).toBe(free.port)
  })
})

/** A server at 192.0.2.10 and perhaps .11, with ports 7070 and perhaps 7071, asked at the first. */
const serverWith = (addresses: 1 | 2, ports: 1 | 2): Others<StunOrigin> => {
  return (otherAddress, otherPort) =>
    (otherAddress && addresses === 1) || (otherPort && ports === 1)
      ? null
      : { address: `192.0.2.1${Number(otherAddress)}`, port: 7070 + Number(otherPort) }
}
const plain = serverWith(1, 1)
const long = () => request().setAttribute('SOFTWARE', ' '.repeat(60))

describe('the answer', () => {
  test('is, byte for byte, that of RFC 8489', () => {
    const transaction = Buffer.from('0102030405060708090a0b0c', 'hex')
    const header = Buffer.concat([Buffer.from('00010000' + '2112a442', 'hex'), transaction])
    // 4711 ^ 0x2112 = 0x3375; 192.0.2.1 ^ 0x2112a442 = 0xe112a643
    const expected = `0101000c2112a442${transaction.toString('hex')}00200008000133 75e112a643`.replace(' ', '')
    expect(answerTo(header, from, plain)?.bytes.toString('hex')).toBe(expected)
  })

  test('refuses attributes it would have to understand', () => {
    const answer = answerTo(request().appendRawAttribute(0x7ffe, Buffer.alloc(4)).bytes, from, plain)
    const message = parseMessage(answer?.bytes ?? Buffer.alloc(0))
    expect(message?.messageClass).toBe(classes.ERROR)
    expect(message?.getAttributeValue('ERROR-CODE')).toEqual([420, ''])
    expect(message?.getAttributeValue('UNKNOWN-ATTRIBUTES')).toEqual([0x7ffe])
  })

  test.each([
    ['a response', new Message(methods.BINDING, classes.RESPONSE)],
    ['an indication', new Message(methods.BINDING, classes.INDICATION)],
    ['a request for a relay', new Message(methods.ALLOCATE, classes.REQUEST)],
  ])('is none to %s', (_what, message) => {
    expect(answerTo(message.bytes, from, plain)).toBeNull()
  })

  test.each([
    ['no other port', serverWith(1, 1), undefined],
    ['another port', serverWith(1, 2), ['0.0.0.0', 7071]],
    ['another address too', serverWith(2, 2), ['192.0.2.11', 7071]],
  ])('to a long request names where it comes from, and %s', (_what, others, other) => {
    const message = parseMessage(answerTo(long().bytes, from, others)?.bytes ?? Buffer.alloc(0))
    expect(message?.getAttributeValue('RESPONSE-ORIGIN')).toEqual(['192.0.2.10', 7070])
    expect(message?.getAttributeValue('OTHER-ADDRESS')).toEqual(other)
    const short = parseMessage(answerTo(request().bytes, from, others)?.bytes ?? Buffer.alloc(0))
    expect(short?.attributesKeys).toEqual(['XOR-MAPPED-ADDRESS'])
  })

  test('is none, or not much larger than the request, whatever comes', () => {
    const mutated = fc
      .tuple(
        fc.constantFrom(request().bytes, long().bytes, request().setAttribute('CHANGE-REQUEST', 6).bytes),
        fc.uint8Array({ maxLength: 64 }),
        fc.array(fc.tuple(fc.nat(83), fc.nat(255)), { maxLength: 4 }),
      )
      .map(([start, attributes, changes]) => {
        const bytes = Buffer.concat([start, attributes])
        bytes.writeUInt16BE(bytes.length - 20, 2)
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
        return bytes
      })
    const anything = fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes))
    fc.assert(
      fc.property(fc.oneof(mutated, anything), (datagram) => {
        const answer = answerTo(datagram, from, serverWith(2, 2))
        expect(answer === null || answer.bytes.length <= datagram.length + 16).toBe(true)
      }),
      runs(200_000),
    )
  })
})
