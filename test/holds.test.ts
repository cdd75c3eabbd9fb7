/** Ephemeral names are kept a moment for who served them: nobody takes them from under a peer that is coming back. */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from '@jest/globals'
import { LIMITS } from '../shared/limits.ts'
import { Holds } from '../signaling/holds.ts'
import { closeTestSignaling, collectingLog, startTestSignaling, temporaryFolder } from './support/signaling.ts'

afterEach(closeTestSignaling)

const claim = { type: 'claim', name: 'pc-now', ephemeral: true } as const
const reserve = { type: 'reserve', name: 'pc-now', mode: 'tcpTunnel' } as const

test('over a restart of the server', async () => {
  const before = await startTestSignaling()
  const owner = await before.newPeer()
  expect(await owner.ask(claim)).toBe('ok')
  const after = await before.restart()
  // The fastest, and with the peer id of the owner.
  const thief = await after.newPeer(undefined, owner.peer)
  expect(await thief.ask(claim)).toBe('name-taken')
  expect(await thief.ask(reserve)).toBe('name-taken')
  const back = await after.newPeer(owner.identity)
  expect(await back.ask(claim)).toBe('ok')
  expect(await thief.ask(claim)).toBe('name-taken')
  expect((await stat(join(before.dataDir, 'served.json'))).mode & 0o777).toBe(0o600)
})

test('when the connection is lost', async () => {
  const { newPeer } = await startTestSignaling()
  const [owner, thief] = [await newPeer(), await newPeer()]
  await owner.ask(claim)
  await thief.ask({ type: 'watch', name: 'pc-now' })
  await thief.next('presence')
  owner.socket.terminate()
  expect(await thief.next('presence')).toMatchObject({ state: 'unknown' })
  expect(await thief.ask(claim)).toBe('name-taken')
  const back = await newPeer(owner.identity)
  expect(await back.ask(reserve)).toBe('ok')
  expect(await back.ask({ type: 'release', name: 'pc-now' })).toBe('ok')
  // It had it, and gave it up.
  expect(await thief.ask(claim)).toBe('ok')
})

test('and not for longer', async () => {
  const { newPeer } = await startTestSignaling({ limits: { nameHold: 40, signalingBurst: 1e6 } })
  const [owner, other] = [await newPeer(), await newPeer()]
  await owner.ask(claim)
  await other.ask({ type: 'watch', name: 'pc-now' })
  await other.next('presence')
  owner.socket.terminate()
  await other.next('presence')
  while ((await other.ask(claim)) !== 'ok');
})

test('also when the server is killed', async () => {
  const [folder, log] = [await temporaryFolder(), collectingLog()]
  const limits = { ...LIMITS, holdsWrite: 0 }
  const killed = await Holds.open(folder, limits, log)
  const identity = `${'A'.repeat(42)}Q`
  killed.serve('pc-now', identity)
  killed.serve('pc-later', identity)
  killed.giveUp('pc-later')
  const written = async () => (await readFile(join(folder, 'served.json'), 'utf8').catch(() => '')).includes('pc-now')
  while (!(await written()));
  const next = await Holds.open(folder, limits, log)
  expect(next.holder('pc-now')).toBe(identity)
  await killed.stop()
  await next.stop()
  expect((await Holds.open(folder, limits, log)).holder('pc-later')).toBeUndefined()
  expect(log.entries).toEqual([])
})

test('as many as there is room for, those first that are served the longest', async () => {
  const [folder, log] = [await temporaryFolder(), collectingLog()]
  const limits = { ...LIMITS, heldNames: 2 }
  const holds = await Holds.open(folder, limits, log)
  const names = ['pc1', 'pc2', 'pc3']
  const identity = `${'A'.repeat(42)}Q`
  for (const name of names) holds.serve(name, identity)
  await holds.stop()
  const next = await Holds.open(folder, limits, log)
  expect(names.map((name) => next.holder(name))).toEqual([identity, identity, undefined])
  for (const name of names) holds.lose(name)
  expect(names.map((name) => holds.holder(name))).toEqual([identity, identity, undefined])
  await holds.stop()
})

test('if the disk allows: a server works without, and says so once', async () => {
  const dataDir = await temporaryFolder()
  await writeFile(join(dataDir, 'served.json'), '{"version":1,"names":[["pc1","x"]]}')
  const one = await startTestSignaling({ dataDir })
  expect(one.log.entries.filter(({ level }) => level === 'warn')).toHaveLength(1)
  await one.server.close()

  const folder = await temporaryFolder()
  await mkdir(join(folder, 'served.json'))
  const other = await startTestSignaling({ dataDir: folder, limits: { holdsWrite: 0 } })
  const peer = await other.newPeer()
  for (const name of ['pc1', 'pc2', 'pc3']) expect(await peer.ask({ ...claim, name })).toBe('ok')
  await other.server.close()
  expect(other.log.entries.filter(({ level }) => level === 'warn')).toHaveLength(1)
})
