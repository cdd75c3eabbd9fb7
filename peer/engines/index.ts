import type { Engine } from '../../shared/engine.ts'
import { asNearportError, NearportError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'

export type EngineChoice = 'auto' | 'werift' | 'native'

/** The engine asked for; `auto` takes native where it loads, else werift. */
export async function loadEngine(choice: EngineChoice, log: Log): Promise<Engine> {
  if (choice === 'werift') return werift(log)
  try {
    const { nativeEngine } = await import('./native.ts')
    return await nativeEngine()
  } catch (error) {
    const why = isMissing(error) ? 'is not installed' : 'does not load'
    if (choice === 'native') {
      const { message } = asNearportError(error)
      throw new NearportError('engine-missing', `the native engine ${why}: ${message}`, { cause: error })
    }
    log.info({ err: error }, `the native engine (node-datachannel) ${why}: using werift`)
    return werift(log)
  }
}

/** Only when it is used: werift takes a while to load. */
async function werift(log: Log): Promise<Engine> {
  const { weriftEngine } = await import('./werift.ts')
  return weriftEngine(log)
}

function isMissing(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : null
  return code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND'
}
