/** Fifty access processes that lose power and come back at once, to one share process. */
import { Child } from '../../peer/demo/child.ts'
import { type EngineName, Nearport } from '../contenders/nearport.ts'
import { type FirstAnswer, firstAnswer } from '../tcp/load.ts'
import { TargetProcess } from '../tcp/target-process.ts'
import type { Case, Run } from './case.ts'
import { contenderOf, enginesOf } from './engines.ts'

const GROUP = 'Fifty access processes killed and started at once'
const PROCESSES = 50
/** seconds */
const DEADLINE = 120

export const comebackCase: Case = {
  id: 'comeback',
  title: 'fifty access processes killed and started at once',
  run: async (run) => {
    for (let round = 0; round < (run.quick ? 1 : 3); round++) {
      for (const engine of enginesOf(run)) {
        const contender = contenderOf(engine)
        run.say(`fifty processes come back: ${engine}`)
        try {
          await measure(run, contender, engine)
        } catch (error) {
          run.results.failed(`${contender}: comeback`, error)
        }
      }
    }
    run.results.note('Of fifty processes started at once on two cores, most of the time is Node loading fifty times.')
  },
}

async function measure({ results }: Run, contender: string, engine: EngineName): Promise<void> {
  const target = await TargetProcess.start()
  const nearport = await Nearport.start()
  try {
    await nearport.share(new Map([['pc1', `127.0.0.1:${target.port}`]]), { engine })
    const before = await Promise.all(homes().map((home) => nearport.access(['pc1'], { engine, home })))
    await Promise.all(before.map(({ ports }) => answer(ports)))
    await Promise.all(before.map(({ child }) => child.stop('SIGKILL')))
    const begun = performance.now()
    const back = await Promise.all(
      homes().map(async (home) => {
        const { ports } = await nearport.access(['pc1'], { engine, home })
        const listening = since(begun)
        const { resets } = await answer(ports)
        return { listening, usable: since(begun), resets }
      }),
    )
    const add = (name: string, value: number) => results.add({ group: GROUP, name, unit: 's' }, contender, value)
    add('until all are usable', Math.max(...back.map(({ usable }) => usable)))
    add('until all know the server and listen', Math.max(...back.map(({ listening }) => listening)))
    add('longest from listening to usable', Math.max(...back.map(({ listening, usable }) => usable - listening)))
    const resets = back.reduce((sum, one) => sum + one.resets, 0)
    results.add({ group: GROUP, name: 'jobs reset meanwhile, and sent again', unit: '' }, contender, resets)
    // What is left of it without nearport: the same processes with nothing to do, and with nothing loaded.
    const fifty = async (words: string, start: (home: string) => Child) => {
      const started = performance.now()
      await Promise.all(homes().map((home) => start(home).ended))
      add(`fifty of "${words}", for comparison`, since(started))
    }
    await fifty('nearport version', (home) => nearport.spawn(home, ['version']))
    await fifty('node -e 0', () => new Child('node', ['-e', '0']))
  } finally {
    await nearport.close()
    await target.close()
  }
}

const homes = (): string[] => Array.from({ length: PROCESSES }, (_, index) => `access-${index}`)
const since = (begun: number): number => (performance.now() - begun) / 1000

const answer = ([port = 0]: readonly number[]): Promise<FirstAnswer> => firstAnswer(port, performance.now(), DEADLINE)
