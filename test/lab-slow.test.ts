/** A path that a job fills for longer than a silent one takes to be given up. */
import { expect } from '@jest/globals'
import { LIMITS } from '../shared/limits.ts'
import { describeLab } from './lab/system.ts'
import { together, withLab } from './lab/together.ts'
import { ENGINES } from './support/tunnel.ts'

/** Mbit/s, each way */
const RATE = 0.5
/** bytes: three times as long as the silence after which a link is dead */
const JOB = (3 * LIMITS.linkSilence * RATE * 1_000_000) / 8 / 1000
/** KiB that wait for the path: a second of it */
const QUEUE = 64
/** Seconds: two engines share the path, and SCTP sends some of it twice. */
const MOST = 170

describeLab('a slow path', () => {
  together({
    'is not taken for a dead one while a job fills it': () =>
      withLab(4, async (lab, tunnels) => {
        const [share, access] = [await lab.host('share'), await lab.host('access')]
        for (const { namespace } of [share, access]) await lab.internet.limit(RATE, namespace, QUEUE)
        const send = async (engine: (typeof ENGINES)[number]) => {
          const name = `printer-${engine}`
          const shared = await tunnels.share(share, engine, name)
          const accessed = await tunnels.access(access, engine, [name])
          const till = tunnels.till(access, accessed, name, { send: JOB })
          const sent = await till.told('sent', undefined, MOST)
          expect(await shared.printer.told('received', undefined, MOST)).toMatchObject({ sha256: sent.sha256 })
          for (const peer of [shared.share, accessed]) {
            expect(peer.log.filter(({ msg }) => msg === 'link closed')).toEqual([])
          }
        }
        await Promise.all(ENGINES.map(send))
      }),
  })
})
