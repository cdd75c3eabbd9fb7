/** TCP itself: the ceiling. */
import { bulk } from '../tcp/load.ts'
import type { Contender } from './contender.ts'

export const rawTcp: Contender = {
  name: 'raw TCP',
  kind: 'tcp',
  comparedTo: [],
  absent: async () => null,
  start: async (targets) => ({
    ports: targets,
    near: [],
    far: [],
    bulk: (load) => bulk(targets, load),
    close: async () => undefined,
  }),
}
