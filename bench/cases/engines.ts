/** The engines that nearport is measured with. */
import type { EngineName } from '../contenders/nearport.ts'
import type { Run } from './case.ts'

export const contenderOf = (engine: EngineName): string => `nearport ${engine}`

/** Those of which nearport is among the contenders. */
export const enginesOf = ({ contenders }: Run): EngineName[] =>
  (['native', 'werift'] as const).filter((engine) => contenders.some(({ name }) => name === contenderOf(engine)))
