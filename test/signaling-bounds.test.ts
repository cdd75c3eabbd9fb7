/** What a server, or a member through it, can make a peer hold. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { nanoid } from 'nanoid'
import { SignalingSocket } from '../peer/signaling-socket.ts'
import { toBase64Url } from '../shared/bytes.ts'
import { randomBytes } from '../shared/crypto.ts'
import { deferred } from '../shared/deferred.ts'
import { Following } from '../shared/following.ts'
import { LIMITS } from '../shared/limits.ts'
import { admitting, closeFakeServers } from './support/fake-signaling.ts'
import { closeTestSignaling, collectingLog, RawPeer, startTestSignaling } from './support/signaling.ts'

const closing: (() => void)[] = []
afterEach(async () => {
  await closeTestSignaling()
  await closeFakeServers()
  for (const close of closing.splice(0)) close()
})

/** A server that accepts the WebSocket by hand, and sends what a real one could not be made to. */
async function rawServer(accepted: (socket: Socket, request: string) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (request: Buffer) => {
      const key = /sec-websocket-key: (\S+)/i.exec(request.toString())?.[1] ?? ''
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      )
      accepted(socket, request.toString())
    })
    closing.push(() => socket.destroy())
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  closing.push(() => server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no address')
  return `ws://127.0.0.1:${address.port}/`
}

describe('the socket of a process', () => {
  test('offers no compression', async () => {
    const requested = deferred<string>()
    const url = await rawServer((_socket, request) => requested.resolve(request))
    await once(open(url), 'open')
    expect(await requested.promise).not.toMatch(/sec-websocket-extensions/i)
  })

  test('refuses a message of 99 MiB by its header, without waiting for it', async () => {
    const url = await rawServer((socket) => {
      const header = Buffer.alloc(10)
      header.writeUInt16BE(0x817f)
      header.writeBigUInt64BE(99n * 1024n * 1024n, 2)
      socket.write(header)
    })
    const failed = new Promise<Error>((resolve) => open(url).on('error', resolve))
    expect(await failed).toMatchObject({ code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' })
  })

  test('refuses a message in more parts than one has, each of which would hold the bytes around it', async () => {
    const url = await rawServer((socket) => {
      const [beginning, part] = [Buffer.from([0x01, 1, 0x20]), Buffer.from([0x00, 1, 0x20])]
      socket.write(Buffer.concat([beginning, ...Array.from({ length: LIMITS.signalingFragments }, () => part)]))
    })
    const failed = new Promise<Error>((resolve) => open(url).on('error', resolve))
    expect(await failed).toMatchObject({ code: 'WS_ERR_TOO_MANY_BUFFERED_PARTS' })
  })

  function open(url: string): SignalingSocket {
    const socket = new SignalingSocket(url)
    closing.push(() => socket.terminate())
    return socket
  }
})

describe('a peer leaves a server', () => {
  const share = (name: string) => ({ name, owner: toBase64Url(randomBytes(32)), reserved: true, peer: null })
  const listed = (name: string) => ({ ...share(name), online: false, mode: 'tcpTunnel', health: null })

  test.each([
    ['a message that is too long', () => `{"type":"pong"${' '.repeat(LIMITS.signalingMessageBytes)}}`],
    [
      'more entries in a message than one has',
      (request: number) =>
        JSON.stringify({ type: 'shares', request, shares: Array.from({ length: 51 }, () => listed('pc1')) }),
    ],
  ])('that sends %s', async (_what, message) => {
    const { newClient, networkKey } = await startTestSignaling()
    const url = await admitting(networkKey, ({ request }, socket) => request && socket.send(message(request)))
    const log = collectingLog()
    const client = await newClient(undefined, { url, log })
    await client.start()
    await expect(client.list()).rejects.toMatchObject({ code: 'server-unreachable' })
    expect(log.entries.map(({ fields }) => fields.code)).toContain('message-malformed')
  })

  test('that sends a list without an end', async () => {
    const { newClient, networkKey } = await startTestSignaling()
    const url = await admitting(networkKey, ({ request }, socket) => {
      for (let i = 0; i < 3; i++) socket.send(JSON.stringify({ type: 'shares', request, shares: [listed('pc1')] }))
    })
    const client = await newClient(undefined, { url, limits: { listedEntries: 2 } })
    await client.start()
    await expect(client.list()).rejects.toMatchObject({
      message: expect.stringContaining('more than 2 shares'),
    })
  })

  test('that tells of names without an end', async () => {
    const { newClient, networkKey } = await startTestSignaling()
    const url = await admitting(networkKey, (_message, socket) => {
      for (const name of ['pc1', 'pc2', 'pc3']) {
        socket.send(JSON.stringify({ type: 'changes', shares: [share(name)], peers: [] }))
      }
    })
    const log = collectingLog()
    const client = await newClient(undefined, { url, log })
    await client.start()
    const left = new Promise<void>((resolve) => {
      client.onstate = (connected) => void (connected || resolve())
    })
    client.follow(new Following(2))
    await left
    expect(log.entries.map(({ fields }) => fields.code)).toContain('message-malformed')
  })
})

test('the longest signal of a member does not cut off who gets it', async () => {
  const { newPeer, url, networkKey } = await startTestSignaling()
  const sender = await newPeer()
  const receiver = await RawPeer.connect(url, sender.identity, nanoid(), SignalingSocket)
  await receiver.admit(networkKey)
  const signal = { type: 'signal', session: nanoid(), to: receiver.peer, owner: receiver.identity.publicKey } as const
  sender.send({ ...signal, box: 'A'.repeat(LIMITS.signalBoxChars) })
  expect((await receiver.next('signal')).box).toHaveLength(LIMITS.signalBoxChars)
  await receiver.settled()
  sender.send({ ...signal, box: 'A'.repeat(LIMITS.signalBoxChars + 1) })
  expect(await sender.cutOff()).toEqual({ code: 'message-malformed', status: 1008 })
})
