/** A member that takes the peer id of another: every member sees them all. */
import { afterEach, expect, test } from '@jest/globals'
import { nanoid } from 'nanoid'
import { closeTestSignaling, newIdentity, type RawPeer, startTestSignaling } from './support/signaling.ts'

afterEach(closeTestSignaling)

const signal = (session: string, { peer, identity }: Pick<RawPeer, 'peer' | 'identity'>) =>
  ({ type: 'signal', session, to: peer, owner: identity.publicKey, box: 'c2VhbGVk' }) as const

test('locks nobody out, gets nothing of theirs, and ends nothing of theirs', async () => {
  const before = await startTestSignaling()
  const known = await before.newPeer()
  const after = await before.restart()
  const squatter = await after.newPeer(await newIdentity(), known.peer)
  const [victim, till] = [await after.newPeer(known.identity, known.peer), await after.newPeer()]
  expect(victim.peer).toBe(squatter.peer)

  expect(await victim.ask({ type: 'claim', name: 'pc1', ephemeral: true })).toBe('ok')
  await till.ask({ type: 'watch', name: 'pc1' })
  const online = { state: 'online', peer: victim.peer, owner: victim.identity.publicKey }
  expect(await till.next('presence')).toMatchObject(online)
  // It cannot act on what the other serves, nor in its session.
  expect(await squatter.ask({ type: 'unclaim', name: 'pc1' })).toBe('ok')
  expect(await squatter.ask({ type: 'claim', name: 'pc1', ephemeral: true })).toBe('name-taken')
  const session = nanoid()
  till.send(signal(session, victim))
  expect(await victim.next('signal')).toMatchObject({ from: till.peer, owner: till.identity.publicKey })
  squatter.send(signal(session, till))
  expect(await squatter.next('ended')).toMatchObject({ session, code: 'peer-gone' })
  squatter.send({ type: 'end', session })
  await squatter.settled()
  victim.send(signal(session, till))
  expect(await till.next('signal')).toMatchObject({ from: victim.peer, owner: victim.identity.publicKey })
  await squatter.settled()
  expect(squatter.unread).toEqual([])

  // What is for it goes to it, and its end is not that of the other.
  const other = nanoid()
  till.send(signal(other, squatter))
  expect(await squatter.next('signal')).toMatchObject({ session: other })
  squatter.socket.terminate()
  expect(await till.next('ended')).toMatchObject({ session: other })
  till.send(signal(session, victim))
  expect(await victim.next('signal')).toMatchObject({ session })
  await till.settled()
  expect([...till.unread, ...victim.unread]).toEqual([])
})

test('is told apart by who follows the network', async () => {
  const { newPeer } = await startTestSignaling()
  const [victim, follower] = [await newPeer(), await newPeer()]
  const squatter = await newPeer(await newIdentity(), victim.peer)
  expect(await follower.ask({ type: 'follow' })).toBe('ok')
  const { peers } = await follower.next('changes')
  const of = (peer: RawPeer) => ({ peer: peer.peer, identity: peer.identity.publicKey, connected: true })
  expect(peers).toEqual(expect.arrayContaining([of(victim), of(squatter), of(follower)]))
  squatter.socket.terminate()
  expect((await follower.next('changes')).peers).toEqual([{ ...of(squatter), connected: false }])
})
