/** What a console is told of all names and peers. */
import { afterEach, expect, test } from '@jest/globals'
import { deferred } from '../shared/deferred.ts'
import { Following } from '../shared/following.ts'
import { LIMITS } from '../shared/limits.ts'
import { peerKey } from '../shared/peer-key.ts'
import type { SignalingClient } from '../shared/signaling-client.ts'
import { closeTestSignaling, newIdentity, type RawPeer, startTestSignaling } from './support/signaling.ts'

afterEach(closeTestSignaling)

const keyOf = ({ peer, identity }: RawPeer) => peerKey({ peer, identity: identity.publicKey })

/** Follows, and waits for what is to come. */
function following(client: SignalingClient) {
  const state = new Following()
  let news = deferred<void>()
  state.onchange = () => {
    news.resolve()
    news = deferred()
  }
  client.follow(state)
  return {
    state,
    until: async (fits: (state: Following) => boolean) => {
      while (!fits(state)) await news.promise
    },
    share: (name: string) => state.shares.get(name),
    peerKeys: () => [...state.peers.keys()].sort(),
  }
}

test('all names and peers, at once and as they change', async () => {
  const { newClient, newPeer } = await startTestSignaling()
  const owner = await newIdentity()
  const early = await newPeer(owner)
  await early.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })
  await early.ask({ type: 'claim', name: 'tmp', ephemeral: true })
  const console = await newClient()
  await console.start()
  const followed = following(console)
  await followed.until(({ shares }) => shares.size > 0)
  const who = { owner: owner.publicKey }
  expect(followed.share('pc1')).toEqual({ name: 'pc1', ...who, reserved: true, peer: null })
  expect(followed.share('tmp')).toEqual({ name: 'tmp', ...who, reserved: false, peer: early.peer })
  expect(followed.peerKeys()).toHaveLength(2)
  expect(followed.state.peers.get(keyOf(early))).toEqual({
    peer: early.peer,
    identity: owner.publicKey,
    connected: true,
  })

  const late = await newPeer(owner)
  await late.ask({ type: 'claim', name: 'pc1', ephemeral: false })
  await late.ask({ type: 'claim', name: 'tmp', ephemeral: true })
  await followed.until(({ shares }) => shares.get('tmp')?.peer === late.peer)
  expect(followed.share('pc1')?.peer).toBe(late.peer)
  expect(followed.state.peers.has(keyOf(late))).toBe(true)
  // What is served already is reserved, too.
  await late.ask({ type: 'unclaim', name: 'pc1' })
  await late.ask({ type: 'reserve', name: 'tmp', mode: 'tcpTunnel' })
  await followed.until(({ shares }) => shares.get('tmp')?.reserved === true)
  await late.ask({ type: 'release', name: 'pc1' })
  await followed.until(({ shares }) => !shares.has('pc1'))
  late.socket.terminate()
  await followed.until(({ peers }) => !peers.has(keyOf(late)))
  expect(followed.share('tmp')).toEqual({ name: 'tmp', ...who, reserved: true, peer: null })
})

test('after a restart of the server, from what it knows then', async () => {
  const { newClient, newPeer, restart } = await startTestSignaling()
  const peer = await newPeer()
  await peer.ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })
  await peer.ask({ type: 'claim', name: 'tmp', ephemeral: true })
  const console = await newClient()
  await console.start()
  const followed = following(console)
  await followed.until(({ shares }) => shares.size === 2)
  await restart()
  // What was known stays until the server has told all there is.
  await followed.until(({ shares }) => shares.size < 2)
  expect([...followed.state.shares.keys()]).toEqual(['pc1'])
  expect(followed.peerKeys()).toHaveLength(1)
})

test('asked for without a connection, once there is one', async () => {
  const { newClient, newPeer } = await startTestSignaling()
  await (await newPeer()).ask({ type: 'reserve', name: 'pc1', mode: 'tcpTunnel' })
  const console = await newClient()
  const followed = following(console)
  await console.start()
  await followed.until(({ shares }) => shares.has('pc1'))
})

test('in messages that stay under the limit, however many names change at once', async () => {
  const { newPeer } = await startTestSignaling({ limits: { signalingBurst: 1e6 } })
  const peer = await newPeer()
  const name = (at: number) => `${'n'.repeat(58)}-${String(at).padStart(4, '0')}`
  const claim = (at: number) => peer.ask({ type: 'claim', name: name(at), ephemeral: true })
  await Promise.all(Array.from({ length: 250 }, (_, at) => claim(at)))
  const follower = await newPeer()
  const sizes: number[] = []
  follower.socket.on('message', (data: Buffer) => sizes.push(data.length))
  expect(await follower.ask({ type: 'follow' })).toBe('ok')
  peer.socket.terminate()
  const gone = new Set<string>()
  while (gone.size < 250) {
    for (const { name, owner } of (await follower.next('changes')).shares) if (owner === null) gone.add(name)
  }
  expect(Math.max(...sizes)).toBeLessThan(LIMITS.signalingMessageBytes)
})

test('a refusal is told', async () => {
  const { newClient, newPeer } = await startTestSignaling({ limits: { followers: 1 } })
  await (await newPeer()).ask({ type: 'follow' })
  const console = await newClient()
  await console.start()
  const refused = deferred<string>()
  const state = new Following()
  state.onrefused = ({ code }) => refused.resolve(code)
  console.follow(state)
  expect(await refused.promise).toBe('server-busy')
})
