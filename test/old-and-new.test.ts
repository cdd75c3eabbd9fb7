/** Earlier versions that are kept in test/bundles/ with this one: old and new meet, over a server of either. */
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { dial, readAll, sha256, TcpTarget, writeAll } from './support/tcp.ts'
import { CLI, type Network, startNetwork } from './support/tunnel.ts'

const BUNDLES = fileURLToPath(new URL('bundles/', import.meta.url))
/** Within the repository, where the packages are that a bundle does not hold; beside dist/web/, which servers serve. */
const UNPACKED = fileURLToPath(new URL('../dist/bundles/', import.meta.url))

const kept = (await readdir(BUNDLES)).filter((file) => file.endsWith('.js.br'))
const mixes = (['old', 'new'] as const).flatMap((signal) => [
  { signal, share: 'old', access: 'new' },
  { signal, share: 'new', access: 'old' },
])

test('a version is kept', () => expect(kept.length).toBeGreaterThan(0))

describe.each(kept)('%s', (file) => {
  const old = join(UNPACKED, file.replace(/\.br$/, ''))
  let target: TcpTarget
  let network: Network | null = null

  beforeAll(async () => {
    await mkdir(UNPACKED, { recursive: true })
    const draft = `${old}.${process.pid}`
    await writeFile(draft, brotliDecompressSync(await readFile(join(BUNDLES, file))))
    await rename(draft, old)
    target = await TcpTarget.start((socket) => {
      readAll(socket).then(
        (job) => socket.end(sha256(job)),
        () => socket.destroy(),
      )
    })
  })
  afterEach(async () => {
    await network?.stop()
    network = null
  })
  afterAll(() => target?.off())

  test.each(mixes)('server $signal, share $share, access $access', async (mix) => {
    const build = (home: string) => (mix[home as keyof typeof mix] === 'old' ? old : CLI)
    network = await startNetwork({ build })
    await network.share({ pc1: target.address }, { engine: 'werift' })
    const access = await network.access(['pc1'], { engine: 'werift' })
    const job = Buffer.alloc(300_000, 'a job ')
    const socket = await dial(access.ports.pc1 ?? 0)
    await writeAll(socket, job)
    socket.end()
    expect((await readAll(socket)).toString()).toBe(sha256(job))
  })
})
