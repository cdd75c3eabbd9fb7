/** A member that takes the peer id of another: every member sees them all. */
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, afterEach, expect, test } from '@jest/globals'
import { nanoid } from 'nanoid'
import { loadEngine } from '../peer/engines/index.ts'
import { Access } from '../shared/access.ts'
import { NearportError } from '../shared/errors.ts'
import { KnownOwners } from '../shared/known-owners.ts'
import type { PeerNode } from '../shared/node.ts'
import { Share } from '../shared/share.ts'
import type { PeerStatus } from '../shared/status.ts'
import type { MuxStream } from '../shared/stream.ts'
import { silentLog } from './support/links.ts'
import { MemoryStore } from './support/owners.ts'
import { closeTestSignaling, newIdentity, type RawPeer, startTestSignaling } from './support/signaling.ts'

const engine = await loadEngine('werift', silentLog)
const over = new NearportError('shutting-down', 'the test is over')
const made: (Share | Access)[] = []
afterEach(async () => {
  await Promise.all(made.splice(0).map((each) => each.close(over)))
  await closeTestSignaling()
})
afterAll(() => engine.close())

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

test('has links, tunnels and a status of its own, on either side', async () => {
  const { newClient, networkKey } = await startTestSignaling()
  const node = async (peer: string, predecessors: string[] = []): Promise<PeerNode> => {
    const identity = await newIdentity()
    const signaling = await newClient(identity, { peer })
    await signaling.start()
    const owners = new KnownOwners(new MemoryStore(), silentLog)
    return { peer, identity, networkKey, engine, signaling, grace: 0, predecessors, owners, log: silentLog }
  }
  const serve = async (of: PeerNode, name: string) => {
    const streams: MuxStream[] = []
    const share = new Share(of)
    made.push(share)
    const health = { state: 'off', code: null, sinceMs: 0 } as const
    await share.serve(name, true, {
      accept: async (stream) => streams.push(stream),
      status: () => ({ health, streams: streams.length, queued: 0, toTarget: 0, fromTarget: 0, servedMs: 1 }),
      onhealth: () => undefined,
    })
    return streams
  }
  const access = (of: PeerNode) => {
    const one = new Access(of)
    made.push(one)
    return one
  }
  const [shareId, tillId] = [nanoid(), nanoid()]
  const [printer, otherPrinter] = [await node(shareId), await node(shareId)]
  const [served, otherServed] = [await serve(printer, 'pc1'), await serve(otherPrinter, 'pc2')]

  const till = access(await node(tillId))
  await till.add('pc1')
  const job = await till.open('pc1')
  const resets: NearportError[] = []
  job.onreset = (reason) => resets.push(reason)
  // It says that the till was killed, and is the till's namesake.
  const squatter = access(await node(tillId, [tillId]))
  await squatter.add('pc1')
  await squatter.open('pc1')

  const watcher = access(await node(nanoid()))
  const seen: { now: PeerStatus | null } = { now: null }
  watcher.follow(shareId, printer.identity.publicKey, (status) => {
    seen.now = status
  })
  const links = () => [...(seen.now?.links.values() ?? [])]
  while (links().length !== 3 || served.length < 2) await turn()
  expect(links().filter(({ peer }) => peer === tillId)).toHaveLength(2)
  // Two share processes of one id are two as well.
  for (const name of ['pc1', 'pc2']) await watcher.add(name)
  await watcher.open('pc2')
  while (otherServed.length === 0) await turn()
  await watcher.open('pc1')
  while (served.length < 3) await turn()
  expect(otherServed).toHaveLength(1)

  await squatter.close(over)
  while (links().length !== 2) await turn()
  expect(resets).toEqual([])
})
