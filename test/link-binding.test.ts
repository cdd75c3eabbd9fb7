/** What binds the proofs of a link to its very connection, beside the certificates. */
import { weriftEngine } from '../peer/engines/werift.ts'
import type { Engine } from '../shared/engine.ts'
import { NearportError } from '../shared/errors.ts'
import type { Link } from '../shared/link.ts'
import { newIdentity } from './support/dtls.ts'
import {
  availableEngines,
  linkPair,
  type Member,
  type Network,
  newMember,
  newNetwork,
  silentLog,
} from './support/links.ts'

const engines = await availableEngines()
let network: Network
let access: Member
let share: Member
const made: Link[] = []

beforeAll(async () => {
  ;[network, access, share] = await Promise.all([newNetwork(), newMember(), newMember()])
})
afterEach(async () => {
  await Promise.all(made.splice(0).map((link) => link.close(new NearportError('shutting-down', 'the test is over'))))
})
afterAll(async () => {
  for (const engine of engines) await engine.close()
})

function pair(engine: Engine, shareEngine = engine) {
  const links = linkPair({ engine, shareEngine, network, access, share })
  made.push(links.access, links.share)
  return links
}

/** With which code each side ends a link that is never ready. */
async function refusal({ access: near, share: far }: ReturnType<typeof pair>): Promise<string> {
  const ready = Promise.any([near.ready, far.ready]).then(() => 'ready')
  const closed = Promise.race([near.closed, far.closed]).then(({ code }) => code)
  return Promise.race([ready.catch(() => closed), closed])
}

describe('keying material of DTLS', () => {
  const werift = engines.find(({ name }) => name === 'werift')
  if (werift === undefined) throw new Error('werift does not load')
  const exporting = (byte: number): Engine => ({ ...werift, exportKeyingMaterial: () => new Uint8Array(32).fill(byte) })

  test('is the same at both ends, and in the proofs of both', async () => {
    const asked: string[] = []
    const watched: Engine = {
      ...werift,
      exportKeyingMaterial: (...of) => {
        const material = werift.exportKeyingMaterial?.(...of) ?? null
        asked.push(Buffer.from(material ?? []).toString('hex'))
        return material
      },
    }
    await pair(watched).access.ready
    expect(asked).toHaveLength(2)
    expect(asked[0]).toMatch(/^[0-9a-f]{64}$/)
    expect(asked[1]).toBe(asked[0])
  })

  test('that differs ends the link, whatever the certificates are: two connections pass for one', async () => {
    const links = pair(exporting(1), exporting(2))
    expect(await refusal(links)).toBe('proof-refused')
  })

  test('that an engine says it has and has not ends the link', async () => {
    const empty: Engine = { ...werift, exportKeyingMaterial: () => null }
    expect(await refusal(pair(empty, werift))).toBe('proof-refused')
  })

  test('is left out where one side cannot export it, as its hello says', async () => {
    const { exportKeyingMaterial: _, ...cannot } = werift
    await pair(cannot, exporting(1)).access.ready
  })
})

describe.each(engines.map((engine) => [engine.name, engine] as const))('a link over %s', (_name, engine) => {
  test('says that it is not the path that fails, where the other side has not the key of its certificate', async () => {
    const mallory = weriftEngine(silentLog, { key: (await newIdentity()).key })
    try {
      const { access: victim } = pair(engine, mallory)
      expect(await victim.closed).toMatchObject({
        code: 'proof-refused',
        message: expect.stringMatching(/there is a path/),
      })
    } finally {
      await mallory.close()
    }
  })
})
