/**
 * The name of the server cannot be looked up for a while, and meanwhile the server is started anew and the path cut: a
 * link that is up goes on, and once names are known again there is a new one, and the next job works.
 */
import { expect } from '@jest/globals'
import type { Host } from './lab/lab.ts'
import { expectOutcome, print } from './lab/outcome.ts'
import { describeLab } from './lab/system.ts'
import { together, withLab } from './lab/together.ts'
import { ENGINES, type EngineName, type LogLine } from './support/tunnel.ts'

const SERVER = 'signal.lab.test'
/** Seconds until a lost link is noticed, or a new one is there. */
const PATIENCE = 90

const failedLookup = ({ code, msg }: LogLine) => code === 'server-unreachable' && /ENOTFOUND|EAI_AGAIN/.test(msg)
const connected = ({ msg }: LogLine) => msg === 'connected to the signaling server'

async function loseNames(engine: EngineName): Promise<void> {
  await withLab(
    4,
    async (lab, tunnels) => {
      const [near, far] = [await lab.nat('share-nat', 'open'), await lab.nat('access-nat', 'port-restricted')]
      const hosts: readonly [Host, Host] = [await lab.host('share', near), await lab.host('access', far)]
      const [shareHost, accessHost] = hosts
      const names = { [SERVER]: tunnels.server.address }
      for (const host of hosts) await host.knows(names)
      const { share } = await tunnels.share(shareHost, engine, 'printer')
      const access = await tunnels.access(accessHost, engine, ['printer'])
      const peers = [share, access]
      const job = async () => expectOutcome(await print(tunnels, accessHost, access, 'printer'), 'works')
      await job()

      for (const host of hosts) await host.knows({})
      const lost = peers.map((peer) => peer.log.length)
      await tunnels.network.signaling.stop('SIGKILL')
      await tunnels.network.startSignaling()
      await Promise.all(peers.map((peer, side) => peer.logged('a failed lookup', failedLookup, lost[side], PATIENCE)))
      await job()
      await lab.internet.cut(near.namespace, far.namespace)
      const closed = ({ msg }: LogLine) => msg === 'link closed'
      await Promise.all(peers.map((peer, side) => peer.logged('the end of the link', closed, lost[side], PATIENCE)))
      await lab.internet.restore(near.namespace, far.namespace)
      for (const [side, peer] of peers.entries()) expect(peer.log.slice(lost[side]).filter(connected)).toEqual([])

      for (const host of hosts) await host.knows(names)
      await Promise.all(peers.map((peer, side) => peer.logged('the server', connected, lost[side], PATIENCE)))
      const ready = ({ msg }: LogLine) => msg === 'link ready'
      await access.logged('a new link', ready, lost[1], PATIENCE)
      await job()
    },
    { name: SERVER },
  )
}

describeLab('names fail', () => {
  together(Object.fromEntries(ENGINES.map((engine) => [engine, () => loseNames(engine)])))
})
