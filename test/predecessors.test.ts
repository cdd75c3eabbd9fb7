import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { nanoid } from 'nanoid'
import { Child } from '../peer/demo/child.ts'
import { Predecessors } from '../peer/predecessors.ts'
import { LIMITS } from '../shared/limits.ts'

let folder: string
let dead: number

beforeAll(async () => {
  const child = new Child('a process that ends', ['-e', ''])
  dead = child.process.pid ?? 0
  await child.ended
})
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nearport-test-'))
  await new Predecessors(folder).enter(nanoid())
})
afterEach(() => rm(folder, { recursive: true }))

async function left(entry: { pid: number; host?: string; version?: number }): Promise<string> {
  const peer = nanoid()
  await writeFile(path(peer), JSON.stringify({ version: 1, host: hostname(), ...entry }))
  return peer
}

const path = (peer: string) => join(folder, 'running', `${peer}.json`)
const enter = () => new Predecessors(folder).enter(nanoid())

test('a process that was killed is told of, by each that starts later', async () => {
  const killed = await left({ pid: dead })
  // The entry of beforeEach has the number of this very process, which then is given anew.
  expect(await enter()).toContain(killed)
  expect(await enter()).toContain(killed)
})

test('one that ended in order, runs, or runs elsewhere is not', async () => {
  const [gone, running, elsewhere] = [
    await left({ pid: dead }),
    await left({ pid: process.ppid }),
    await left({ pid: dead, host: 'another' }),
  ]
  await new Predecessors(folder).leave(gone)
  const told = await enter()
  for (const peer of [gone, running, elsewhere]) expect(told).not.toContain(peer)
  expect(await readdir(join(folder, 'running'))).toEqual(
    expect.arrayContaining([`${running}.json`, `${elsewhere}.json`]),
  )
})

test('of many only the newest are told of, and the others are forgotten', async () => {
  const peers: string[] = []
  for (let index = 0; index < LIMITS.predecessors + 5; index++) {
    const peer = await left({ pid: dead })
    await utimes(path(peer), 2_000_000_000 + index, 2_000_000_000 + index)
    peers.unshift(peer)
  }
  expect(await enter()).toEqual(peers.slice(0, LIMITS.predecessors))
  // With the one that tells.
  expect(await readdir(join(folder, 'running'))).toHaveLength(LIMITS.predecessors + 1)
})

test('an entry that is not one is an error', async () => {
  await left({ pid: dead, version: 2 })
  await expect(enter()).rejects.toThrow()
})
