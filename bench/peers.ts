/**
 * Access peers that make their links again and again, each on an admitted connection to the signaling server: what a
 * link takes when both processes are up. A process of its own; each `again` of its parent is one go.
 *
 *     node peers.js ENGINE NAME FOLDER COUNT     (the link in NEARPORT_LINK)
 */
import { join } from 'node:path'
import { Config } from '../peer/config.ts'
import type { EngineChoice } from '../peer/engines/index.ts'
import { makeLog } from '../peer/log.ts'
import { type RunningPeer, startPeer, stopPeer } from '../peer/runtime.ts'
import { Access } from '../shared/access.ts'
import { NearportError } from '../shared/errors.ts'
import { header } from './tcp/line.ts'

/** ms until each peer had the first byte of a job back, from the moment it began to look for the share */
export type PeersNews = { readonly ready: true } | { readonly firstBytes: number[] }

const [engine, name = '', folder = '', count] = process.argv.slice(2)
const log = makeLog({ level: 'error', json: false })

const start = (index: number): Promise<RunningPeer> => {
  const config = new Config(join(folder, `peer-${index}`))
  return startPeer(config, { engine: engine as EngineChoice, grace: 0 }, log)
}

/** Makes the link, does a job, and ends the link again. */
async function once(node: RunningPeer): Promise<number> {
  const begun = performance.now()
  const access = new Access(node)
  try {
    await access.add(name)
    const stream = await access.open(name)
    await new Promise<void>((resolve, reject) => {
      stream.ondata = () => resolve()
      stream.onreset = reject
      stream.write(header(1, 0))
      stream.write(new Uint8Array(1))
    })
    return performance.now() - begun
  } finally {
    await access.close(new NearportError('shutting-down', 'once more'))
  }
}

const nodes = await Promise.all(Array.from({ length: Number(count) }, (_, index) => start(index)))
const tell = (news: PeersNews) => process.send?.(news)
process.on('message', async () => tell({ firstBytes: await Promise.all(nodes.map(once)) }))
process.on('disconnect', async () => {
  await Promise.all(nodes.map(stopPeer))
  process.exit()
})
tell({ ready: true })
