import { describe, expect, jest, test } from '@jest/globals'
import type { Log } from '../shared/log.ts'

/** The engines as they load where `import('node-datachannel')` fails like this. */
async function enginesWhere(failure: Error) {
  jest.resetModules()
  jest.unstable_mockModule('node-datachannel', () => {
    throw failure
  })
  return await import('../peer/engines/index.ts')
}

function collectingLog(): Log & { readonly lines: string[] } {
  const lines: string[] = []
  const add = (_fields: object, message: string) => lines.push(message)
  return { lines, debug: add, info: add, warn: add, error: add }
}

const NOT_INSTALLED = Object.assign(new Error("Cannot find package 'node-datachannel'"), {
  code: 'ERR_MODULE_NOT_FOUND',
})
const NO_BINARY = new Error('Cannot load native addon for node-datachannel on plan9 (mips)')

describe.each([
  ['is not installed', NOT_INSTALLED],
  ['does not load', NO_BINARY],
])('where the native engine %s', (why, failure) => {
  test('auto takes werift and says why in one line', async () => {
    const { loadEngine } = await enginesWhere(failure)
    const log = collectingLog()
    const engine = await loadEngine('auto', log)
    expect(engine.name).toBe('werift')
    expect(log.lines).toEqual([expect.stringContaining(why)])
    await engine.close()
  })

  test('native is refused by name, werift is not concerned', async () => {
    const { loadEngine } = await enginesWhere(failure)
    const log = collectingLog()
    await expect(loadEngine('native', log)).rejects.toMatchObject({
      code: 'engine-missing',
      message: expect.stringContaining(why),
      cause: failure,
    })
    const engine = await loadEngine('werift', log)
    expect(engine.name).toBe('werift')
    expect(log.lines).toEqual([])
    await engine.close()
  })
})
