/**
 * Two TCP relays in Node, one after the other: what is left of nearport where the way between its two processes costs
 * nothing, neither frames nor encryption nor packets. The ceiling of what any program in Node can do.
 */
import { fileURLToPath } from 'node:url'
import { Child } from '../../peer/demo/child.ts'
import { owned } from '../cleanup.ts'
import { bulk } from '../tcp/load.ts'
import type { Contender } from './contender.ts'
import { pidOf } from './nearport.ts'

const END = fileURLToPath(new URL('relay-end.js', import.meta.url))

export const nodeRelay: Contender = {
  name: 'two Node relays',
  kind: 'tcp',
  comparedTo: ['raw TCP'],
  absent: async () => null,
  start: async (targets) => {
    const far = await relay(targets)
    const near = await relay(far.ports)
    return {
      ports: near.ports,
      near: [pidOf(near.child)],
      far: [pidOf(far.child)],
      bulk: (load) => bulk(near.ports, load),
      close: async () => {
        await near.child.stop()
        await far.child.stop()
      },
    }
  },
}

async function relay(targets: readonly number[]): Promise<{ child: Child; ports: number[] }> {
  const child = new Child('relay', [END, ...targets.map(String)])
  owned(child.process)
  const line = await child.until('its ports', ({ stdout }) => stdout[0])
  return { child, ports: JSON.parse(line) as number[] }
}
