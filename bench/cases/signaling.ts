/** The signaling server: memory and CPU of idle peers, admissions and exchanges. */
import { SERVER } from '../goals.ts'
import { signalingLoad } from '../signaling-load.ts'
import type { Case } from './case.ts'

const GROUP = 'Signaling'
const KIB = 1024

export const signalingCase: Case = {
  id: 'signaling',
  title: 'signaling: memory per idle peer, admissions and exchanges a second',
  run: async ({ quick, results, say }) => {
    say('signaling')
    const peers = 5000
    try {
      const found = await signalingLoad({ peers, exchanges: quick ? 500 : 2000, idleSeconds: quick ? 5 : 20 })
      const add = (name: string, unit: string, value: number) =>
        results.add({ group: GROUP, name, unit }, SERVER, value)
      add('idle peers', '', found.peers)
      add('memory per idle peer', 'KiB', found.rssPerPeer.asLeft / KIB)
      add('memory per idle peer, after a garbage collection', 'KiB', found.rssPerPeer.collected / KIB)
      add('idle CPU', '%', found.idleCpu * 100)
      add('admissions, of one core', '1/s', found.admissionsPerSecond)
      add('exchanges, of one core', '1/s', found.exchangesPerSecond)
    } catch (error) {
      results.failed('signaling', error)
    }
  },
}
