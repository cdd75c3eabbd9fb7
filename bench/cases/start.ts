/** From the start of the process where jobs begin to its first job done. */
import type { Child } from '../../peer/demo/child.ts'
import { Hypertele } from '../contenders/hypertele.ts'
import { type EngineName, Nearport } from '../contenders/nearport.ts'
import { freePorts } from '../contenders/ports.ts'
import { SshServer } from '../contenders/ssh.ts'
import { firstAnswer } from '../tcp/load.ts'
import { TargetProcess } from '../tcp/target-process.ts'
import { type Case, compare, type Run } from './case.ts'

const MEASURE = { group: 'From process start to the first job', name: 'first byte back', unit: 'ms' }

/** The far side, up. */
interface Starter {
  readonly contender: { readonly name: string }
  /** Starts the near side anew, listening on this port. */
  start(port: number): Child
  close(): Promise<void>
}

export const startCase: Case = {
  id: 'start',
  title: 'from process start to the first job',
  run: async (run) => {
    run.say('from process start to the first job')
    const target = await TargetProcess.start()
    const starters: Starter[] = []
    try {
      for (const { name } of run.contenders) {
        const make = STARTERS[name]
        if (make !== undefined) starters.push(await make(target.port))
      }
      // More rounds: each is one sample.
      const rounds = run.quick ? 3 : run.rounds * 2
      await compare({ ...run, rounds }, starters, 'start', (starter, round) => measure(run, starter, round))
    } finally {
      for (const starter of starters) await starter.close()
      await target.close()
    }
  },
}

async function measure({ results }: Run, { contender, start }: Starter, round: number): Promise<void> {
  const [port = 0] = await freePorts(1)
  const begun = performance.now()
  const child = start(port)
  try {
    const { at } = await firstAnswer(port, begun)
    if (round > 0) results.add(MEASURE, contender.name, at)
  } finally {
    await child.stop()
  }
}

const STARTERS: Readonly<Record<string, (target: number) => Promise<Starter>>> = {
  'nearport native': (target) => nearport('native', target),
  'nearport werift': (target) => nearport('werift', target),
  'ssh -L': async (target) => {
    const server = await SshServer.start()
    return {
      contender: { name: 'ssh -L' },
      start: (port) => server.client([target], [port]),
      close: () => server.close(),
    }
  },
  hypertele: async (target) => {
    const network = await Hypertele.start()
    const { key } = await network.serve(target)
    return {
      contender: { name: 'hypertele' },
      start: (port) => network.client(key, port),
      close: () => network.close(),
    }
  },
}

async function nearport(engine: EngineName, target: number): Promise<Starter> {
  const network = await Nearport.start()
  await network.share(new Map([['pc1', `127.0.0.1:${target}`]]), { engine })
  return {
    contender: { name: `nearport ${engine}` },
    start: (port) =>
      network.spawn('access', ['access', 'private', 'pc1', '--bind', `127.0.0.1:${port}`, '--engine', engine]),
    close: () => network.close(),
  }
}
