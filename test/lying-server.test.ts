/** A server that lies about who owns a name, in league with a member: over real links, which do not depend on it. */
import { setImmediate as turn } from 'node:timers/promises'
import { nanoid } from 'nanoid'
import { Access } from '../shared/access.ts'
import type { Engine } from '../shared/engine.ts'
import { NearportError } from '../shared/errors.ts'
import { KnownOwners } from '../shared/known-owners.ts'
import type { Presence } from '../shared/messages.ts'
import type { PeerNode } from '../shared/node.ts'
import { type Service, Share } from '../shared/share.ts'
import type { MuxStream } from '../shared/stream.ts'
import { availableEngines, silentLog } from './support/links.ts'
import { MemoryStore } from './support/owners.ts'
import { closeTestSignaling, newIdentity, startTestSignaling, type TestSignaling } from './support/signaling.ts'

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

async function newNode(server: TestSignaling, engine: Engine, store = new MemoryStore()): Promise<PeerNode> {
  const [peer, identity] = [nanoid(), await newIdentity()]
  const signaling = await server.newClient(identity, { peer })
  await signaling.start()
  const { networkKey } = server
  const owners = new KnownOwners(store, silentLog)
  return { peer, identity, networkKey, engine, signaling, grace: 0, predecessors: [], owners, log: silentLog }
}

/** Who has got streams, and what they were sent. */
function service(streams: MuxStream[]): Service {
  return {
    accept: async (stream) => {
      streams.push(stream)
    },
    status: () => ({
      health: { state: 'unknown', code: null, sinceMs: 0 },
      ...{ streams: 0, queued: 0, toTarget: 0, fromTarget: 0, servedMs: 1 },
    }),
    onhealth: () => undefined,
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn()
}

describe.each(engines.map((engine) => [engine.name, engine] as const))('%s', (_, engine) => {
  /** An access peer that is told what a test tells it; an owner of "pc1", and a member that claims to be. */
  async function scene(thiefServes = 'pc1') {
    const [server, store] = [await startTestSignaling(), new MemoryStore()]
    const [access, owner, thief] = [
      await newNode(server, engine, store),
      await newNode(server, engine),
      await newNode(server, engine),
    ]
    let told: (presence: Presence) => void = () => undefined
    access.signaling.watch = async (_name, onpresence) => {
      told = onpresence
    }
    const got: Record<'owner' | 'thief', MuxStream[]> = { owner: [], thief: [] }
    const shares = { owner: new Share(owner), thief: new Share(thief) }
    // Two of one name: what the server would not let them serve, it says of them all the same.
    owner.signaling.claim = thief.signaling.claim = async () => undefined
    await shares.owner.serve('pc1', true, service(got.owner))
    await shares.thief.serve(thiefServes, true, service(got.thief))
    const accessing = new Access(access)
    cleanups.push(() => accessing.close(over))
    for (const share of Object.values(shares)) cleanups.push(() => share.close(over))
    const nodes = { owner, thief }
    /** `as`: the identity that the server names, of this process. */
    const say = async (who: keyof typeof nodes, as: keyof typeof nodes = who) => {
      told({
        ...{ type: 'presence', name: 'pc1', state: 'online' },
        ...{ peer: nodes[who].peer, owner: nodes[as].identity.publicKey },
      })
      // The word counts once it was checked.
      await turn()
    }
    /** Follows pc1, of which the server says this first. */
    const begin = async (who: keyof typeof nodes) => {
      const added = accessing.add('pc1')
      await turn()
      await say(who)
      await added
    }
    return { store, shares, nodes, access: accessing, got, say, begin }
  }

  test('a name that a member claims is refused; the job under way and the next go to its owner', async () => {
    const { access, got, say, begin, shares, store, nodes } = await scene()
    await begin('owner')
    const job = await access.open('pc1')
    job.write(new Uint8Array(3))
    await until(() => got.owner.length === 1)
    expect(store.known.get('pc1')).toBe(nodes.owner.identity.publicKey)

    await say('thief')
    // Its channel is there, whatever the server says.
    await access.open('pc1').then((stream) => stream.write(new Uint8Array(1)))
    await until(() => got.owner.length === 2)
    let reset: NearportError | null = null
    job.onreset = (reason) => {
      reset = reason
    }
    expect(reset).toBeNull()
    await shares.owner.close(over)
    await until(() => reset !== null)
    await expect(access.open('pc1')).rejects.toMatchObject({ code: 'owner-changed', exitStatus: 2 })
    expect(got.thief).toEqual([])
    expect(store.known.get('pc1')).toBe(nodes.owner.identity.publicKey)
  })

  test('an owner that has not proven itself, or does not serve the name, is not remembered', async () => {
    const { access, say, begin, store, nodes } = await scene('pc2')
    await begin('thief')
    await expect(access.open('pc1')).rejects.toMatchObject({ code: 'name-offline' })
    // The owner, but not the process that is its: no link to it ever is.
    await say('thief', 'owner')
    await expect(access.open('pc1')).rejects.toMatchObject({ code: 'peer-gone' })
    expect(store.known.size).toBe(0)
    await say('owner')
    await access.open('pc1')
    expect(store.known.get('pc1')).toBe(nodes.owner.identity.publicKey)
  })

  test('another process that met another owner first holds before what this one is told', async () => {
    const { access, begin, store, nodes, got } = await scene()
    const keep = store.keep.bind(store)
    store.keep = (name) => keep(name, nodes.owner.identity.publicKey)
    await begin('thief')
    await expect(access.open('pc1')).rejects.toMatchObject({ code: 'owner-changed' })
    await expect(access.open('pc1')).rejects.toMatchObject({ code: 'owner-changed' })
    expect(got.thief).toEqual([])
  })

  test('a store that is full stops no job, lets no other owner in, and is written when there is room', async () => {
    const { access, begin, store, say, got, nodes, shares } = await scene()
    store.failing = new NearportError('config-failed', 'no space left on device')
    await begin('owner')
    const job = await access.open('pc1')
    job.write(new Uint8Array(1))
    await until(() => got.owner.length === 1)
    expect(store.known.size).toBe(0)
    await say('thief')
    await shares.owner.close(over)
    await expect(access.open('pc1')).rejects.toMatchObject({ code: 'owner-changed' })
    store.failing = null
    await until(() => store.known.size === 1)
    expect(store.known.get('pc1')).toBe(nodes.owner.identity.publicKey)
    expect(got.thief).toEqual([])
  })
})
