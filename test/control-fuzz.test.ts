/** A member that has proven itself, or is about to, and says anything at all on the control channel. */
import assert from 'node:assert/strict'
import { afterAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { nanoid } from 'nanoid'
import { type ControlMessage, parseControl } from '../shared/control.ts'
import { NearportError } from '../shared/errors.ts'
import type { MuxStream } from '../shared/stream.ts'
import { heapUsed } from './support/heap.ts'
import { linkPair, newMember, newNetwork, newTunnels } from './support/links.ts'
import { memoryEngine } from './support/memory-engine.ts'
import { runs, sample } from './support/sample.ts'
import { spoilJson } from './support/spoil.ts'

const CONTROL = 0
const bytesOf = (message: unknown): Uint8Array =>
  Buffer.from(typeof message === 'string' ? message : String(JSON.stringify(message)))

/** What links say once they are ready, from either side. */
const channel = fc.integer({ min: 1, max: 4 })
const name = fc.constantFrom('pc1', 'pc2', 'nobody')
const text = fc.string({ unit: 'binary', maxLength: 40 })
const code = fc.constantFrom('name-offline', 'displaced', 'shutting-down', 'link-lost', 'usage')
const status = {
  health: { state: 'up', code: null, sinceMs: 5 },
  streams: 1,
  queued: 0,
  toTarget: 5,
  fromTarget: 7,
  servedMs: 9,
}
const link = { identity: 'A'.repeat(43), path: 'host', roundTripMs: 1, streams: 1, bytes: 5 }
const message: fc.Arbitrary<object> = fc.oneof(
  fc.record({ type: fc.constant('open'), channel, name, resume: fc.boolean() }),
  fc.record({ type: fc.constant('opened'), channel }),
  fc.record({ type: fc.constant('closed'), channel, code, message: text }),
  fc.constantFrom({ type: 'ping' }, { type: 'pong' }, { type: 'follow' }),
  fc.record({ type: fc.constant('status'), name, status: fc.constantFrom(status, null) }),
  fc.record({ type: fc.constant('link'), peer: fc.constant(nanoid()), link: fc.constantFrom(link, null) }),
)
const last: fc.Arbitrary<object> = fc.record({ type: fc.constant('bye'), code, message: text })
const hostile = fc.constantFrom(
  '',
  '{',
  '[]',
  'null',
  '\ufeff{"type":"ping"}',
  '{"type":"ping","type":"bye"}',
  '{"type":"__proto__"}',
  '{"__proto__":{"type":"ping"},"type":"pong"}',
  `{"type":"open","channel":1,"name":"pc1","resume":${'['.repeat(3000)}`,
  `{"type":"bye","code":"usage","message":"${'a'.repeat(4000)}"}`,
  '9'.repeat(4096),
  ' '.repeat(5000),
)
const spoilt = fc.oneof(
  { weight: 6, arbitrary: message },
  { weight: 2, arbitrary: fc.oneof(message, last).chain(spoilJson) },
  { weight: 1, arbitrary: hostile },
)

test(`the parser takes a message or names the fault, ${sample(20_000)} times`, () => {
  const seen = { taken: 0, refused: 0 }
  fc.assert(
    fc.property(spoilt, (spoiltMessage) => {
      try {
        parseControl(bytesOf(spoiltMessage))
        seen.taken++
      } catch (error) {
        assert(error instanceof NearportError && error.code === 'message-malformed', String(error))
        seen.refused++
      }
    }),
    runs(20_000),
  )
  expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(sample(20_000) / 10)
})

/** How a link ends that is told such things: as the other side says, or for what it did, and never with a fault of ours. */
const SAID = ['name-offline', 'displaced', 'shutting-down', 'usage']
const ENDS = [...SAID, 'message-malformed', 'proof-refused', 'version-mismatch', 'rate-limited', 'link-lost']

/** Spoils the message with this number, of those that prove who is there; the others pass. */
interface Handshake {
  readonly at: number
  readonly spoil: (message: object) => unknown
}
const handshake: fc.Arbitrary<Handshake | null> = fc.option(
  fc.record({
    at: fc.nat(1),
    spoil: fc
      .tuple(fc.nat(8), fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(-1, 0, 99, null, '', 'A'.repeat(43))))
      .map(([index, value]) => (honest: object) => {
        const field = Object.keys(honest)[index] ?? 'more'
        return { ...honest, [field]: value }
      }),
  }),
  { freq: 4 },
)

const engines = new Set<ReturnType<typeof memoryEngine>>()
afterAll(() => Promise.all([...engines].map((engine) => engine.close())))

test(`a link ends with a reason or goes on, ${sample(20_000)} messages, and nothing stays`, async () => {
  const network = newNetwork()
  const [access, share] = await Promise.all([newMember(), newMember()])
  const seen = { ready: 0, refused: 0, messages: 0 }
  let before = 0
  const accept = () => (stream: MuxStream) => {
    stream.ondata = (data) => stream.taken(data.length)
  }
  const run = async (victim: 'access' | 'share', spoils: Handshake | null, messages: readonly unknown[]) => {
    seen.messages += messages.length
    if (seen.messages > sample(20_000) / 10) before ||= heapUsed()
    let sent = 0
    const attacker = memoryEngine((bytes, id) => {
      if (id !== CONTROL || spoils === null || sent++ !== spoils.at) return [bytes]
      return [bytesOf(spoils.spoil(JSON.parse(Buffer.from(bytes).toString()) as ControlMessage))]
    })
    const own = memoryEngine()
    engines.add(attacker).add(own)
    const [engine, shareEngine] = victim === 'access' ? [own, attacker] : [attacker, own]
    const tunnels = newTunnels((wanted) => (wanted === 'nobody' ? null : accept()))
    const links = linkPair({ engine, shareEngine, network, access, share, tunnels })
    const target = links[victim]
    const ended = target.closed.then(({ code: reason }) => reason)
    if (victim === 'access') target.follow(() => undefined)
    const isReady = await Promise.race([target.ready.then(() => true), ended.then(() => false)]).catch(() => false)
    if (isReady) {
      seen.ready++
      if (victim === 'access') links.tunnels.access.open('pc1').catch(() => undefined)
      // The last one ends every link.
      attacker.inject(CONTROL, [...messages, '{'].map(bytesOf))
    } else {
      seen.refused++
    }
    const reason = await ended
    assert(ENDS.includes(reason) || messages.length === 0, reason)
    await Promise.all(
      [links.access, links.share].map((each) => each.close(new NearportError('shutting-down', 'the end'))),
    )
    await Promise.all([attacker.close(), own.close()])
    assert.deepEqual([attacker.open, own.open], [0, 0])
    for (const tunnel of [tunnels.access, tunnels.share]) assert.equal(tunnel.streams, 0)
    engines.clear()
  }
  const many = fc.array(spoilt, { minLength: 10, maxLength: 30 })
  await fc.assert(fc.asyncProperty(fc.constantFrom('access', 'share'), handshake, many, run), runs(1000))
  expect(seen.messages).toBeGreaterThanOrEqual(sample(20_000) / 2)
  expect(Math.min(seen.ready, seen.refused)).toBeGreaterThan(sample(1000) / 20)
  expect(heapUsed() - before).toBeLessThan(32 * 1024 * 1024)
})
