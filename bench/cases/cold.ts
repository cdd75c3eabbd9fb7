/** A link where there is none: both processes are up, and know the server. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { owned } from '../cleanup.ts'
import { type EngineName, engineAbsent, Nearport } from '../contenders/nearport.ts'
import type { PeersNews } from '../peers.ts'
import { percentile } from '../stats.ts'
import { TargetProcess } from '../tcp/target-process.ts'
import type { Case, Run } from './case.ts'
import { contenderOf, enginesOf } from './engines.ts'

const GROUP = 'A cold link'
const PEERS = fileURLToPath(new URL('../peers.js', import.meta.url))

export const coldCase: Case = {
  id: 'cold',
  title: 'the first byte where both processes are up and there is no link; fifty links at once',
  run: async (run) => {
    for (const engine of enginesOf(run)) {
      run.say(`cold links: ${engine}`)
      await measure(run, contenderOf(engine), engine)
    }
  },
}

async function measure({ results, quick, rounds }: Run, contender: string, engine: EngineName): Promise<void> {
  const absent = await engineAbsent(engine)
  if (absent !== null) return results.missing(`${contender}: cold`, absent)
  const target = await TargetProcess.start()
  const nearport = await Nearport.start()
  try {
    await nearport.share(new Map([['pc1', `127.0.0.1:${target.port}`]]), { engine })
    const one = await Peers.start(nearport, engine, 1)
    const samples: number[] = []
    // The first ones find code that is not compiled yet, which is what a link costs once.
    for (let i = 0; i < (quick ? 20 : 100); i++) samples.push(...(await one.again()))
    await one.stop()
    for (const percent of [50, 95, 100]) {
      const name = percent === 100 ? 'first byte, slowest' : `first byte, p${percent}`
      results.add({ group: GROUP, name, unit: 'ms' }, contender, percentile(samples, percent))
    }
    const many = await Peers.start(nearport, engine, 50)
    for (let i = 0; i < (quick ? 1 : rounds); i++) {
      const last = Math.max(...(await many.again())) / 1000
      results.add({ group: GROUP, name: 'fifty peers of one process at once, the last', unit: 's' }, contender, last)
    }
    await many.stop()
  } catch (error) {
    results.failed(`${contender}: cold`, error)
  } finally {
    await nearport.close()
    await target.close()
  }
}

/** A process of access peers. */
class Peers {
  readonly #process

  private constructor(file: string, args: string[], env: NodeJS.ProcessEnv) {
    this.#process = owned(fork(file, args, { env: { ...process.env, ...env } }))
  }

  static async start(nearport: Nearport, engine: EngineName, count: number): Promise<Peers> {
    const home = `peers-${count}`
    const env = nearport.env(home)
    const peers = new Peers(PEERS, [engine, 'pc1', env.NEARPORT_HOME ?? home, String(count)], env)
    await peers.#heard()
    return peers
  }

  async again(): Promise<number[]> {
    const heard = this.#heard()
    this.#process.send('again')
    const news = await heard
    return 'firstBytes' in news ? news.firstBytes : []
  }

  async stop(): Promise<void> {
    const exited = once(this.#process, 'exit')
    this.#process.disconnect()
    await exited
  }

  async #heard(): Promise<PeersNews> {
    const stop = new AbortController()
    const { signal } = stop
    const gone = once(this.#process, 'exit', { signal }).then(() => {
      throw new Error('the process of the peers has ended')
    })
    try {
      const [news] = await Promise.race([once(this.#process, 'message', { signal }), gone])
      return news as PeersNews
    } finally {
      stop.abort()
      await gone.catch(() => undefined)
    }
  }
}
