import assert from 'node:assert/strict'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { nanoid } from 'nanoid'
import { toBase64Url } from '../shared/bytes.ts'
import { NONCE_BYTES, randomBytes, SEAL_BYTES } from '../shared/crypto.ts'
import { NearportError } from '../shared/errors.ts'
import { LIMITS, withLimits } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import { type ClientMessage, parseClientMessage } from '../shared/messages.ts'
import { SPOKEN } from '../shared/versions.ts'
import { Backlogs } from '../signaling/backlogs.ts'
import { Connection } from '../signaling/connection.ts'
import { Holds } from '../signaling/holds.ts'
import { Hub } from '../signaling/hub.ts'
import { Store } from '../signaling/store.ts'
import { runs, sample } from './support/sample.ts'
import { closeTestSignaling, startTestSignaling, temporaryFolder } from './support/signaling.ts'

const RUNS = sample(100_000)
// Jest's expect would take most of the time here: inside the loops it is node:assert.

const id = fc.constantFrom(nanoid(), nanoid(), nanoid())
const name = fc.constantFrom('pc1', 'pc2', 'till-3')
const request = fc.integer({ min: 1, max: 1000 })
const anyBytes = (length: number) => toBase64Url(randomBytes(length))
const bytes = (length: number) => fc.constant(anyBytes(length))

const valid: fc.Arbitrary<ClientMessage> = fc.oneof(
  fc.constantFrom({ type: 'hello', ...SPOKEN, peer: nanoid(), identity: anyBytes(32), nonce: anyBytes(32) }),
  fc.record({ type: fc.constant('hello'), version: fc.constant(2), peer: id, identity: bytes(32) }),
  fc.record({ type: fc.constant('admit'), proof: bytes(32), signature: bytes(64) }),
  fc.record({ type: fc.constant('reserve'), request, name, mode: fc.constant('tcpTunnel') }),
  fc.record({ type: fc.constant('claim'), request, name, ephemeral: fc.boolean() }),
  fc.record({ type: fc.constantFrom('release', 'unclaim', 'watch', 'unwatch'), request, name }),
  fc.record({ type: fc.constant('list'), request }),
  fc.record({
    type: fc.constant('signal'),
    session: id,
    to: id,
    owner: bytes(32),
    box: fc.base64String({ minLength: 1 }),
  }),
  fc.record({ type: fc.constant('end'), session: id }),
  fc.record({ type: fc.constant('health'), name, box: bytes(LIMITS.healthBytes + SEAL_BYTES) }),
  fc.constant({ type: 'ping' }),
) as fc.Arbitrary<ClientMessage>

/** A field replaced by anything, taken away, or added. */
const wrongField = fc
  .tuple(
    valid,
    fc.nat(5),
    fc.option(fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.string()), { nil: undefined }),
    fc.string(),
  )
  .map(([message, at, value, key]) => {
    const field = Object.keys(message)[at] ?? key
    return JSON.stringify({ ...message, [field]: value })
  })

/** A piece of the text replaced. */
const wrongText = fc
  .tuple(valid, fc.nat(300), fc.nat(20), fc.oneof(fc.constant(''), fc.string({ maxLength: 5 })))
  .map(([message, at, length, piece]) => {
    const text = JSON.stringify(message)
    const from = at % text.length
    return text.slice(0, from) + piece + text.slice(from + length)
  })

const hostile = fc.constantFrom(
  '{"__proto__":{"type":"ping"},"type":"ping"}',
  '{"type":"constructor"}',
  '{"type":"ping","toString":null}',
  '[{"type":"ping"}]',
  'null',
  '',
  '9'.repeat(400),
  '['.repeat(30_000),
  `{"type":"list","request":1e999}`,
  `{"type":"watch","request":1,"name":"${'a'.repeat(30_000)}"}`,
)

const anyMessage = fc.oneof(
  { weight: 5, arbitrary: wrongField },
  { weight: 5, arbitrary: wrongText },
  { weight: 1, arbitrary: fc.string() },
  { weight: 1, arbitrary: fc.json() },
  { weight: 1, arbitrary: hostile },
  { weight: 1, arbitrary: valid.map((message) => JSON.stringify(message)) },
)

function isValid(text: string): boolean {
  try {
    parseClientMessage(text)
    return true
  } catch (error) {
    assert(error instanceof NearportError && error.code === 'message-malformed')
    return false
  }
}

test(`the parser takes a message or names the fault, ${RUNS} times`, () => {
  let refused = 0
  fc.assert(
    fc.property(anyMessage, (text) => {
      if (!isValid(text)) refused++
    }),
    runs(100_000),
  )
  expect(refused).toBeGreaterThan(RUNS / 2)
})

describe('an admitted connection', () => {
  /** The last peer that was cut off, as the log has it. */
  let cutOff: unknown = null
  let faults = 0
  const quiet = () => undefined
  const log: Log = {
    debug: quiet,
    info: quiet,
    warn: (fields) => {
      cutOff = 'peer' in fields ? fields.peer : null
    },
    error: () => {
      faults++
    },
  }
  const unlimited = withLimits({
    signalingBurst: 1e9,
    signalingMessagesPerSecond: 1e9,
    identityBurst: 1e9,
    sourceBurst: 1e9,
    reservationsBurst: 1e9,
    sessionsPerConnection: 5,
  })
  // Admission has its own tests, and its cryptography would take most of the time here.
  const admission = { newNonce: () => randomBytes(NONCE_BYTES), answer: () => toBase64Url(randomBytes(32)) }
  let store: Store
  let hub: Hub

  beforeAll(async () => {
    const folder = await temporaryFolder()
    store = await Store.open({ folder, log })
    hub = new Hub(store, await Holds.open(folder, unlimited, log), unlimited, log)
  })
  afterAll(async () => {
    await hub.stop()
    await store.close()
    await closeTestSignaling()
  })

  function admitted() {
    const peer = nanoid()
    let last = ''
    let isOpen = true
    const connection = new Connection({
      socket: {
        bufferedAmount: 0,
        send: (text, taken) => {
          last = text
          taken?.()
        },
        close: () => undefined,
        terminate: () => undefined,
      },
      remote: '127.0.0.1:1',
      hub,
      backlogs: new Backlogs(LIMITS),
      admission,
      stunPort: null,
      limits: unlimited,
      log,
      source: 'here',
      onadmitted: () => undefined,
      onclosed: () => {
        isOpen = false
      },
    })
    const say = (message: ClientMessage) => connection.receive(JSON.stringify(message))
    say({ type: 'hello', ...SPOKEN, peer, identity: anyBytes(32), nonce: anyBytes(32) })
    say({ type: 'admit', proof: anyBytes(32), signature: anyBytes(64) })
    assert.match(last, /^{"type":"admitted","proof":"[^"]{43}","stunPort":null}$/)
    return { connection, peer, say, last: () => last, isOpen: () => isOpen }
  }

  test(`cuts off the offender, by name, and nobody else, ${RUNS} times`, async () => {
    const bystander = admitted()
    let current = admitted()
    let offenders = 0
    await fc.assert(
      fc.asyncProperty(anyMessage, async (text) => {
        const legal = isValid(text) && !['hello', 'admit'].includes(parseClientMessage(text).type)
        current.connection.receive(text)
        assert.equal(current.isOpen(), legal)
        if (!legal) {
          offenders++
          assert.match(current.last(), /^{"type":"refused","request":null,"code":"message-malformed"/)
          assert.equal(cutOff, current.peer)
          current = admitted()
        }
        bystander.say({ type: 'ping' })
        assert.equal(bystander.last(), '{"type":"pong"}')
      }),
      runs(100_000),
    )
    expect(offenders).toBeGreaterThan(RUNS / 2)
    expect(faults).toBe(0)
    // Nothing is left of those that were cut off.
    expect(hub.peers).toBe(2)
    expect(hub.sessions).toBe(0)
  })

  test(`over a real WebSocket, ${sample(1000)} times`, async () => {
    const { newPeer, log } = await startTestSignaling({ limits: { connectionsBurst: 1e6, logLines: 1e6 } })
    const bystander = await newPeer()
    const malformed = anyMessage.filter((text) => !isValid(text))
    await fc.assert(
      fc.asyncProperty(malformed, async (text) => {
        const offender = await newPeer()
        offender.socket.send(text)
        expect(await offender.cutOff()).toEqual({ code: 'message-malformed', status: 1008 })
        expect(log.entries.at(-1)).toMatchObject({ message: 'cut off a peer', fields: { peer: offender.peer } })
        await bystander.settled()
      }),
      runs(1000),
    )
  })
})
