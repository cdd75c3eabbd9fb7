/** A share peer and one that follows it, over a real server and real links, on both engines. */
import { setImmediate as turn } from 'node:timers/promises'
import { nanoid } from 'nanoid'
import { Access } from '../shared/access.ts'
import type { Engine } from '../shared/engine.ts'
import { NearportError } from '../shared/errors.ts'
import { KnownOwners } from '../shared/known-owners.ts'
import type { PeerNode } from '../shared/node.ts'
import { type Service, Share } from '../shared/share.ts'
import type { Health, PeerStatus } from '../shared/status.ts'
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

async function node(server: TestSignaling, engine: Engine): Promise<PeerNode> {
  const [peer, identity] = [nanoid(), await newIdentity()]
  const signaling = await server.newClient(identity, { peer })
  await signaling.start()
  const { networkKey } = server
  const owners = new KnownOwners(new MemoryStore(), silentLog)
  return { peer, identity, networkKey, engine, signaling, grace: 0, predecessors: [], owners, log: silentLog }
}

/** What takes every stream and keeps it, with a health that a test sets. */
function service() {
  let health: Health = { state: 'unknown', code: null, sinceMs: 0 }
  let streams = 0
  const made: Service = {
    accept: () => {
      streams++
      return new Promise(() => undefined)
    },
    status: () => ({ health, streams, queued: 0, toTarget: 0, fromTarget: 0, servedMs: 1 }),
    onhealth: () => undefined,
  }
  const set = (state: Health['state'], code: Health['code'] = null) => {
    health = { state, code, sinceMs: 0 }
    made.onhealth()
  }
  return { made, set }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn()
}

describe.each(engines.map((engine) => [engine.name, engine] as const))('%s', (_, engine) => {
  async function scene() {
    const server = await startTestSignaling()
    const [shareNode, accessNode] = [await node(server, engine), await node(server, engine)]
    const [share, access] = [new Share(shareNode), new Access(accessNode)]
    cleanups.push(() => share.close(over))
    cleanups.push(() => access.close(over))
    const seen: { now: PeerStatus | null; count: number } = { now: null, count: 0 }
    const follow = () =>
      access.follow(shareNode.peer, shareNode.identity.publicKey, (status) => {
        seen.now = status
        seen.count++
      })
    const health = (name: string) => seen.now?.names.get(name)?.health
    return { server, share, access, shareNode, accessNode, seen, follow, health }
  }

  test('names nobody has opened, their changes, and the link itself are told', async () => {
    const { server, share, access, accessNode, seen, follow, health } = await scene()
    const [pc1, pc2] = [service(), service()]
    await share.serve('pc1', true, pc1.made)
    await share.serve('pc2', true, pc2.made)
    follow()
    expect(seen).toEqual({ now: null, count: 1 })
    await until(() => health('pc2')?.state === 'unknown' && seen.now?.links.size === 1)
    pc1.set('down', 'target-refused')
    await until(() => health('pc1')?.code === 'target-refused')
    expect(health('pc2')?.state).toBe('unknown')
    // The server has it too, sealed.
    const [listed] = (await accessNode.signaling.list()).filter(({ name }) => name === 'pc1')
    expect(listed?.health).toMatch(/^[\w-]{208}$/)
    await access.add('pc1')
    const stream = await access.open('pc1')
    stream.write(new Uint8Array(1000))
    await until(() => seen.now?.names.get('pc1')?.streams === 1)
    const link = () => seen.now?.links.get(`${accessNode.peer} ${accessNode.identity.publicKey}`)
    await until(() => link()?.streams === 1 && (link()?.bytes ?? 0) > 1000 && link()?.roundTripMs !== null)
    expect(link()).toMatchObject({ identity: accessNode.identity.publicKey, path: expect.stringMatching(/host|prflx/) })
    // The status goes on without the server.
    await server.server.close()
    pc2.set('up')
    await until(() => health('pc2')?.state === 'up')
  })

  test('one who ends it and comes back is told at once; a process that ends is told of as unknown', async () => {
    const { share, seen, follow, health, access } = await scene()
    const pc1 = service()
    await share.serve('pc1', true, pc1.made)
    const end = follow()
    await until(() => health('pc1') !== undefined)
    end()
    const { count } = seen
    pc1.set('up')
    // A round trip of the link, and what was sent before it.
    await access.add('pc1')
    await access.open('pc1')
    expect(seen.count).toBe(count)
    follow()
    expect(health('pc1')).toBeDefined()
    await until(() => health('pc1')?.state === 'up')
    await share.close(over)
    await until(() => seen.now === null)
  })

  test('a link that is over is made again for who follows, and for nobody else', async () => {
    const { share, seen, follow, health, shareNode } = await scene()
    const end = follow()
    await share.serve('pc1', true, service().made)
    await until(() => health('pc1') !== undefined)
    await share.close(over)
    await until(() => seen.now === null)
    const again = new Share(shareNode)
    cleanups.push(() => again.close(over))
    await again.serve('pc1', true, service().made)
    await until(() => health('pc1') !== undefined)
    end()
    const { count } = seen
    await again.close(over)
    expect(seen.count).toBe(count)
  })
})
