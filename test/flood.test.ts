/** A share that members flood with offers and with junk, over a real server and real links, on both engines. */
import { setImmediate as turn } from 'node:timers/promises'
import { nanoid } from 'nanoid'
import { Access } from '../shared/access.ts'
import { toBase64Url, utf8 } from '../shared/bytes.ts'
import { randomBytes, Sealer, signalContext } from '../shared/crypto.ts'
import type { Engine } from '../shared/engine.ts'
import { NearportError } from '../shared/errors.ts'
import { KnownOwners } from '../shared/known-owners.ts'
import { LIMITS } from '../shared/limits.ts'
import type { PeerNode } from '../shared/node.ts'
import { Regulars } from '../shared/regulars.ts'
import { Share } from '../shared/share.ts'
import { availableEngines } from './support/links.ts'
import { MemoryStore } from './support/owners.ts'
import {
  closeTestSignaling,
  collectingLog,
  newIdentity,
  type RawPeer,
  startTestSignaling,
  type TestSignaling,
} from './support/signaling.ts'

const engines = await availableEngines()
const over = new NearportError('shutting-down', 'the test is over')
const cleanups: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  await closeTestSignaling()
})
afterAll(async () => {
  for (const engine of engines) await engine.close()
})

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn()
}

async function node(server: TestSignaling, engine: Engine) {
  const [peer, identity, log] = [nanoid(), await newIdentity(), collectingLog()]
  const signaling = await server.newClient(identity, { peer })
  await signaling.start()
  const { networkKey } = server
  const owners = new KnownOwners(new MemoryStore(), log)
  return { peer, identity, networkKey, engine, signaling, grace: 0, predecessors: [], owners, log } satisfies PeerNode
}

/** An engine that counts the connections it makes. */
function counting(engine: Engine) {
  const made = { count: 0 }
  const RTCPeerConnection = new Proxy(engine.wrtc.RTCPeerConnection, {
    construct: (target, words) => {
      made.count++
      return Reflect.construct(target, words)
    },
  })
  return { made, engine: { ...engine, wrtc: { ...engine.wrtc, RTCPeerConnection } } }
}

async function scene(engine: Engine) {
  const server = await startTestSignaling()
  const { made, engine: counted } = counting(engine)
  const regulars = new Regulars()
  const shareNode = await node(server, counted)
  const share = new Share(shareNode, { regulars })
  cleanups.push(() => share.close(over))
  await share.serve('pc1', true, {
    accept: (stream) => {
      stream.ondata = (bytes) => stream.taken(bytes.length)
      stream.onend = () => stream.end()
      return new Promise(() => undefined)
    },
    status: () => {
      const health = { state: 'off', code: null, sinceMs: 0 } as const
      return { health, streams: 0, queued: 0, toTarget: 0, fromTarget: 0, servedMs: 0 }
    },
    onhealth: () => undefined,
  })
  /** Links, and prints a job. */
  const print = async (till: PeerNode) => {
    const access = new Access(till)
    await access.add('pc1')
    const stream = await access.open('pc1')
    const ended = new Promise<void>((resolve, reject) => {
      stream.onend = resolve
      stream.onreset = reject
    })
    stream.write(utf8('a job'))
    stream.end()
    await ended
    await access.close(over)
  }
  const newTill = () => node(server, engine)
  return { server, shareNode, regulars, made, print, newTill }
}

/** What an engine offers, and of which nothing comes. */
async function offerOf({ wrtc }: Engine): Promise<string> {
  const pc = new wrtc.RTCPeerConnection({})
  pc.createDataChannel('control', { negotiated: true, id: 0 })
  const { sdp = '' } = await pc.createOffer()
  pc.close()
  return sdp
}

/** Sends the share offers that open, each for a session of its own. */
async function offer(from: RawPeer, to: PeerNode, sdp: string, count: number): Promise<void> {
  const [near, far] = [
    { peer: from.peer, identity: from.identity.publicKey },
    { peer: to.peer, identity: to.identity.publicKey },
  ]
  for (let each = 0; each < count; each++) {
    const session = nanoid()
    const sealer = await Sealer.forSession(to.networkKey, session)
    const plain = utf8(JSON.stringify({ type: 'offer', sdp, nat: null }))
    const box = toBase64Url(await sealer.seal(plain, signalContext(session, near, far, 0)))
    from.send({ type: 'signal', session, to: far.peer, owner: far.identity, box })
  }
  await from.settled()
}

const refusals = ({ entries }: ReturnType<typeof collectingLog>) =>
  entries.filter(({ message }) => message.startsWith('signals dropped')).map(({ fields }) => fields.code)

describe.each(engines.map((engine) => [engine.name, engine] as const))('%s', (_, engine) => {
  test('junk costs no connection, nor a line of the log each, nor anybody his link', async () => {
    const { server, shareNode, made, print, newTill } = await scene(engine)
    const stranger = await server.newPeer()
    const { peer: to, identity } = shareNode
    for (let each = 0; each < 600; each++) {
      const box = toBase64Url(randomBytes(700))
      stranger.send({ type: 'signal', session: nanoid(), to, owner: identity.publicKey, box })
    }
    await stranger.settled()
    await print(await newTill())
    expect(made.count).toBe(1)
    expect([...new Set(refusals(shareNode.log))]).toContain('signal-refused')
    expect(refusals(shareNode.log).length).toBeLessThanOrEqual(2)
  })

  test('offers of one member take the places of one, and a till is linked meanwhile', async () => {
    const { server, shareNode, made, print, newTill } = await scene(engine)
    const sdp = await offerOf(engine)
    await offer(await server.newPeer(), shareNode, sdp, 400)
    await until(() => made.count === LIMITS.pendingLinks / 4)
    await print(await newTill())
    expect(made.count).toBe(LIMITS.pendingLinks / 4 + 1)
    expect(refusals(shareNode.log)).toEqual(['too-many-links'])
  })

  test('offers of many members leave the places of those who were here before', async () => {
    const { server, shareNode, made, print, newTill } = await scene(engine)
    const till = await newTill()
    await print(till)
    const sdp = await offerOf(engine)
    const members = await Promise.all(Array.from({ length: 150 }, () => server.newPeer()))
    for (const member of members) await offer(member, shareNode, sdp, 2)
    await until(() => made.count === LIMITS.pendingLinks / 2 + 1)
    await print(till)
    expect(made.count).toBe(LIMITS.pendingLinks / 2 + 2)
  })
})
