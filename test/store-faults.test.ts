/** The store over a LevelDB that fails at each of its steps, once and for a while, before it did what it was to do or after. */
import { ClassicLevel } from 'classic-level'
import { toBase64Url } from '../shared/bytes.ts'
import { randomBytes } from '../shared/crypto.ts'
import type { Level } from '../signaling/disk.ts'
import { Store } from '../signaling/store.ts'
import { closeTestSignaling, collectingLog, temporaryFolder } from './support/signaling.ts'

const reservation = { owner: toBase64Url(randomBytes(32)), mode: 'tcpTunnel' } as const
const log = collectingLog()

/** Which steps fail, counted from the first after the start, and whether the disk has done them by then. */
interface Fault {
  readonly from: number
  readonly to: number
  readonly done: boolean
}

/** LevelDB on a disk that has a fault. */
class FaultyLevels {
  steps = 0
  #fault: Fault | null = null
  readonly #open = new Set<ClassicLevel>()

  begin(fault: Fault): void {
    this.steps = 0
    this.#fault = fault
  }

  readonly openLevel = async (folder: string): Promise<Level> => {
    const level = new ClassicLevel(folder)
    await this.#step(
      async () => {
        await level.open()
        this.#open.add(level)
      },
      () => level.close(),
    )
    return {
      batch: (changes, options) => this.#step(() => level.batch(changes, options)),
      close: () => this.#step(() => level.close()),
      iterator: () => this.#iterate(level),
    }
  }

  /** What a process that ends leaves behind; without this it could not be opened again within the test. */
  async end(): Promise<void> {
    this.#fault = null
    for (const level of this.#open) await level.close()
  }

  async *#iterate(level: ClassicLevel): AsyncGenerator<[string, string]> {
    for await (const entry of level.iterator()) {
      yield entry
      await this.#step(async () => undefined)
    }
  }

  async #step(act: () => Promise<void>, undo: () => Promise<void> = async () => undefined): Promise<void> {
    const step = this.steps++
    const fails = this.#fault !== null && step >= this.#fault.from && step <= this.#fault.to
    if (!fails || this.#fault?.done) await act()
    if (!fails) return
    await undo()
    throw new Error('Input/output error')
  }
}

/** A process: changes one after the other and at once. `names` are those that were acknowledged, at any time. */
async function work(store: Store, names: Set<string>): Promise<number> {
  let refused = 0
  const settle = async (change: Promise<void>, acknowledge: () => void) => {
    try {
      await change
      acknowledge()
    } catch (error) {
      expect(error).toMatchObject({ code: 'store-failed' })
      refused++
    }
  }
  const put = (name: string) => settle(store.put(name, reservation), () => names.add(name))
  const remove = (name: string) => settle(store.delete(name), () => names.delete(name))
  await put('pc1')
  await remove('old1')
  await Promise.all(['pc2', 'pc3', 'pc4'].map(put))
  await put('pc5')
  await remove('pc5')
  await put('pc6')
  expect(new Set(store.reservations.keys())).toEqual(names)
  return refused
}

/** A folder with a network and three names in it, as a server that has run before. */
async function usedFolder(): Promise<string> {
  const folder = await temporaryFolder()
  const store = await Store.open({ folder, log })
  await store.begin(randomBytes(32))
  for (const name of ['old1', 'old2', 'old3']) await store.put(name, reservation)
  await store.close()
  return folder
}

afterEach(closeTestSignaling)

/** Returns how many changes were refused, and how many steps there were. */
async function tryFault(fault: Fault): Promise<{ refused: number; steps: number }> {
  const folder = await usedFolder()
  const levels = new FaultyLevels()
  const store = await Store.open({ folder, log, openLevel: levels.openLevel })
  const names = new Set(store.reservations.keys())
  levels.begin(fault)
  const refused = await work(store, names)
  const { steps } = levels
  // The disk is good again, and says so by taking one more.
  levels.begin({ from: -1, to: -1, done: false })
  await store.put('last', reservation)
  names.add('last')
  await store.close()
  const again = await Store.open({ folder, log })
  expect(new Set(again.reservations.keys())).toEqual(names)
  expect(again.verifier).toEqual(store.verifier)
  await again.close()
  return { refused, steps }
}

describe.each([
  ['before it does anything', false],
  ['after it has done it', true],
])('a disk that fails %s', (_when, done) => {
  test.each([1, 2, 3, 5])(
    '%i times in a row, at each step: acknowledged is what the next start finds',
    async (times) => {
      let anyRefused = 0
      for (let from = 0, steps = 1; from < steps; from++) {
        const found = await tryFault({ from, to: from + times - 1, done })
        steps = found.steps
        anyRefused += found.refused
      }
      expect(anyRefused).toBeGreaterThan(0)
    },
  )

  test('all the time: nothing is acknowledged, and all is there that was before', async () => {
    const folder = await usedFolder()
    const levels = new FaultyLevels()
    const store = await Store.open({ folder, log, openLevel: levels.openLevel })
    levels.begin({ from: 0, to: Number.POSITIVE_INFINITY, done })
    const names = new Set(store.reservations.keys())
    expect(await work(store, names)).toBe(8)
    await levels.end()
    const again = await Store.open({ folder, log })
    if (!done) expect(new Set(again.reservations.keys())).toEqual(names)
    expect([...again.reservations.keys()]).toEqual(expect.arrayContaining(['old2', 'old3']))
    await again.close()
  })
})
