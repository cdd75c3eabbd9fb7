import { afterEach, describe, expect, test } from '@jest/globals'
import { nanoid } from 'nanoid'
import { LIMITS } from '../shared/limits.ts'
import { closeTestSignaling, newIdentity, RawPeer, startTestSignaling } from './support/signaling.ts'

afterEach(closeTestSignaling)

const connect = async (url: string) => RawPeer.connect(url, await newIdentity())
const refused = (code: string) => ({ code, status: 1008 })

describe('limits', () => {
  test('of names an identity reserves and a connection serves and watches', async () => {
    const { newPeer } = await startTestSignaling({ limits: { reservationsPerIdentity: 2, namesPerConnection: 1 } })
    const peer = await newPeer()
    const answers = await Promise.all(
      ['pc1', 'pc2', 'pc3'].map((name) => peer.ask({ type: 'reserve', name, mode: 'tcpTunnel' })),
    )
    expect(answers.sort()).toEqual(['ok', 'ok', 'too-many-names'])
    await peer.ask({ type: 'release', name: 'pc1' })
    expect(await peer.ask({ type: 'reserve', name: 'pc4', mode: 'tcpTunnel' })).toBe('ok')
    expect(await peer.ask({ type: 'claim', name: 'eph-1', ephemeral: true })).toBe('ok')
    expect(await peer.ask({ type: 'claim', name: 'eph-1', ephemeral: true })).toBe('ok')
    expect(await peer.ask({ type: 'claim', name: 'eph-2', ephemeral: true })).toBe('too-many-names')
    expect(await peer.ask({ type: 'watch', name: 'eph-1' })).toBe('ok')
    expect(await peer.ask({ type: 'watch', name: 'eph-2' })).toBe('too-many-names')
    expect(await peer.ask({ type: 'unwatch', name: 'eph-1' })).toBe('ok')
    expect(await peer.ask({ type: 'watch', name: 'eph-2' })).toBe('ok')
  })

  test('of peers that follow', async () => {
    const { newPeer } = await startTestSignaling({ limits: { followers: 1 } })
    const [first, second] = [await newPeer(), await newPeer()]
    expect(await first.ask({ type: 'follow' })).toBe('ok')
    expect(await first.ask({ type: 'follow' })).toBe('server-busy')
    expect(await second.ask({ type: 'follow' })).toBe('server-busy')
    first.socket.terminate()
    await first.closed
    await second.settled()
    expect(await second.ask({ type: 'follow' })).toBe('ok')
  })

  test('of names on a server', async () => {
    const { newPeer } = await startTestSignaling({ limits: { reservationsPerServer: 1 } })
    const [a, b] = [await newPeer(), await newPeer()]
    expect(await a.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })).toBe('ok')
    expect(await b.ask({ type: 'reserve', name: 'pc2', mode: 'tcpTunnel' })).toBe('too-many-names')
  })

  test('of connections, with places of their own for strangers', async () => {
    const { newPeer, url, networkKey } = await startTestSignaling({
      limits: { signalingConnections: 1, signalingPending: 1 },
    })
    const member = await newPeer()
    const second = await connect(url)
    await expect(second.admit(networkKey)).rejects.toThrow()
    expect(await second.cutOff()).toEqual(refused('too-many-connections'))
    const pending = await connect(url)
    pending.hello()
    await pending.next('challenge')
    const newcomer = await connect(url)
    expect((await pending.cutOff()).code).toBe('server-busy')
    newcomer.hello()
    await newcomer.next('challenge')
    await member.settled()
  })

  test('of the rate: the offender is cut off by name, another peer is not', async () => {
    const { newPeer, log } = await startTestSignaling({ limits: { signalingBurst: 20, signalingMessagesPerSecond: 1 } })
    const [offender, other] = [await newPeer(), await newPeer()]
    for (let i = 0; i < 30; i++) offender.send({ type: 'ping' })
    expect(await offender.cutOff()).toEqual(refused('rate-limited'))
    expect(log.entries).toContainEqual({
      level: 'warn',
      message: 'cut off a peer',
      fields: expect.objectContaining({ peer: offender.peer, code: 'rate-limited' }),
    })
    await other.settled()
  })

  test('of the size of a message', async () => {
    const { newPeer, log } = await startTestSignaling()
    const peer = await newPeer()
    peer.socket.send('x'.repeat(LIMITS.signalingMessageBytes + 1))
    expect((await peer.cutOff()).status).toBe(1009)
    expect(log.entries.filter(({ message }) => message === 'cut off a peer')).toMatchObject([
      { fields: { peer: peer.peer, code: 'message-malformed' } },
    ])
  })

  test('of the parts of a message: each would hold memory of its own', async () => {
    const { newPeer } = await startTestSignaling()
    const peer = await newPeer()
    for (let part = 0; part <= LIMITS.signalingFragments; part++) peer.socket.send('x', { fin: false })
    expect((await peer.cutOff()).status).toBe(1008)
  })

  test('of the backlog: who does not read is cut off', async () => {
    const { newPeer, log } = await startTestSignaling({
      limits: { signalingBacklogBytes: 64 * 1024, signalingBurst: 1e6, signalingMessagesPerSecond: 1e6 },
    })
    const [sender, deaf] = [await newPeer(), await newPeer()]
    deaf.socket.pause()
    const session = nanoid()
    const big = 'A'.repeat(30_000)
    while (!sender.unread.some(({ type }) => type === 'ended')) {
      sender.send({ type: 'signal', session, to: deaf.peer, owner: deaf.identity.publicKey, box: big })
      await sender.settled()
    }
    expect(log.entries).toContainEqual({
      level: 'warn',
      message: 'cut off a peer',
      fields: expect.objectContaining({ peer: deaf.peer, code: 'server-busy' }),
    })
  })

  test('of silence', async () => {
    const { newPeer } = await startTestSignaling({ limits: { signalingSilence: 50 } })
    expect(await (await newPeer()).cutOff()).toEqual(refused('server-timeout'))
  })

  test.each([
    ['no JSON', 'x'],
    ['an unknown type', '{"type":"x"}'],
    ['a field too many', '{"type":"ping","x":1}'],
    ['a malformed name', '{"type":"watch","request":1,"name":"PC 1"}'],
    ['binary', Buffer.from('{"type":"ping"}')],
  ])('malformed messages: %s', async (_what, message) => {
    const { newPeer, log } = await startTestSignaling()
    const peer = await newPeer()
    peer.socket.send(message)
    expect(await peer.cutOff()).toEqual(refused('message-malformed'))
    expect(log.entries).toContainEqual({
      level: 'warn',
      message: 'cut off a peer',
      fields: expect.objectContaining({ peer: peer.peer, code: 'message-malformed' }),
    })
  })
})
