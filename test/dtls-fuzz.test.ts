/**
 * Whatever whoever is on the path, or at the other end, makes of records and handshake messages: no end throws, hangs or
 * holds more than its limits; two ends that both connect have seen the same handshake; and data arrives as it was sent.
 */
import { beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Numbered } from '../peer/engines/dtls/handshake.ts'
import type { Role } from '../peer/engines/dtls/keys.ts'
import { altered, type Identity, newIdentity, type Way, type Wire, wire } from './support/dtls.ts'
import { heapUsed } from './support/heap.ts'
import { runs } from './support/sample.ts'

const RUNS = 10_000
const RECORD_HEADER = 13
const HANDSHAKE_HEADER = 12
const MIB = 1024 * 1024
let identities: Record<Role, Identity>

beforeAll(async () => {
  identities = { client: await newIdentity(), server: await newIdentity() }
})

const role = fc.constantFrom<Role>('client', 'server')
const byte = fc.integer({ min: 0, max: 255 })
/** Where something is, as a part of what there is. */
const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
/** Values of length and number fields that break what does not look */
const edge = fc.constantFrom(
  0,
  1,
  2,
  11,
  12,
  13,
  64,
  65,
  0xff,
  0x100,
  0x1fff,
  0x2000,
  0x2001,
  0x3fff,
  0x4000,
  0xfffe,
  0xffff,
  0xfffffe,
  0xffffff,
)

/** What is done to some bytes, whatever they are. */
const edit = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: place, bit: fc.integer({ min: 0, max: 7 }) }),
  fc.record({ kind: fc.constant('set' as const), at: place, value: byte }),
  fc.record({ kind: fc.constant('field' as const), at: place, size: fc.constantFrom(1, 2, 3), value: edge }),
  fc.record({ kind: fc.constant('cut' as const), at: place }),
  fc.record({ kind: fc.constant('insert' as const), at: place, bytes: fc.uint8Array({ maxLength: 40 }) }),
  fc.record({ kind: fc.constant('append' as const), bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }) }),
)
type Edit = typeof edit extends fc.Arbitrary<infer E> ? E : never

function edited(bytes: Buffer, change: Edit): Buffer {
  if (change.kind === 'append') return Buffer.concat([bytes, change.bytes])
  const at = Math.floor(change.at * bytes.length)
  if (change.kind === 'cut') return bytes.subarray(0, at)
  if (change.kind === 'insert') return Buffer.concat([bytes.subarray(0, at), change.bytes, bytes.subarray(at)])
  const copy = Buffer.from(bytes)
  if (change.kind === 'set' && copy.length > 0) copy[at] = change.value
  if (change.kind === 'flip' && copy.length > 0) copy[at] = (copy[at] ?? 0) ^ (1 << change.bit)
  if (change.kind === 'field' && at + change.size <= copy.length)
    copy.writeUIntBE(change.value % 256 ** change.size, at, change.size)
  return copy
}

/** The fields of record and handshake headers, as offset and size. */
const headerField = fc.constantFrom(
  [0, 1],
  [1, 2],
  [3, 2],
  [5, 6],
  [11, 2],
  [13, 1],
  [14, 3],
  [17, 2],
  [19, 3],
  [22, 3],
)

const onPath = fc.record({
  from: role,
  /** Of which datagram, counted for each side. */
  count: fc.integer({ min: 0, max: 3 }),
  what: fc.oneof(
    fc.record({ kind: fc.constant('bytes' as const), edit }),
    fc.record({ kind: fc.constant('header' as const), record: place, field: headerField, value: edge }),
    fc.record({
      kind: fc.constant('record' as const),
      record: place,
      how: fc.constantFrom('drop', 'twice', 'last', 'first', 'alone'),
    }),
    fc.record({ kind: fc.constant('split' as const), record: place, at: place }),
    fc.record({
      kind: fc.constant('forge' as const),
      type: fc.integer({ min: 19, max: 26 }),
      epoch: fc.integer({ min: 0, max: 2 }),
      body: fc.uint8Array({ maxLength: 80 }),
    }),
    fc.record({
      kind: fc.constant('message' as const),
      type: byte,
      length: edge,
      sequence: fc.integer({ min: 0, max: 9 }),
      offset: edge,
      body: fc.uint8Array({ maxLength: 80 }),
    }),
  ),
})
type OnPath = typeof onPath extends fc.Arbitrary<infer E> ? E : never

function recordsIn(datagram: Buffer): Buffer[] {
  const records: Buffer[] = []
  for (let at = 0; at + RECORD_HEADER <= datagram.length; ) {
    const end = at + RECORD_HEADER + datagram.readUInt16BE(at + 11)
    records.push(datagram.subarray(at, end))
    at = end
  }
  return records
}

const pick = (list: readonly unknown[], where: number) => Math.floor(where * list.length)

function record(type: number, epoch: number, body: Buffer): Buffer {
  const header = Buffer.from([type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 50, body.length >> 8, body.length & 0xff])
  return Buffer.concat([header, body])
}

/** A handshake record in two, with its message in two fragments. */
function split(whole: Buffer, where: number): Buffer[] {
  const [header, message] = [
    whole.subarray(0, RECORD_HEADER + HANDSHAKE_HEADER),
    whole.subarray(RECORD_HEADER + HANDSHAKE_HEADER),
  ]
  if (whole[0] !== 22 || whole[4] !== 0 || header.length < RECORD_HEADER + HANDSHAKE_HEADER) return [whole]
  const at = Math.floor(where * message.length)
  return [
    [0, at],
    [at, message.length],
  ].map(([from = 0, to = 0]) => {
    const piece = Buffer.concat([header, message.subarray(from, to)])
    piece.writeUInt16BE(piece.length - RECORD_HEADER, 11)
    piece.writeUIntBE(from, RECORD_HEADER + 6, 3)
    piece.writeUIntBE(to - from, RECORD_HEADER + 9, 3)
    return piece
  })
}

function arriving(datagram: Buffer, { what }: OnPath): Buffer[] {
  if (what.kind === 'bytes') return [edited(datagram, what.edit)]
  if (what.kind === 'forge') return [record(what.type, what.epoch, Buffer.from(what.body)), datagram]
  if (what.kind === 'message') {
    const header = Buffer.alloc(HANDSHAKE_HEADER)
    header.writeUInt8(what.type, 0)
    header.writeUIntBE(what.length, 1, 3)
    header.writeUInt16BE(what.sequence, 4)
    header.writeUIntBE(what.offset, 6, 3)
    header.writeUIntBE(what.body.length, 9, 3)
    return [record(22, 0, Buffer.concat([header, what.body])), datagram]
  }
  const records = recordsIn(datagram)
  const at = pick(records, what.record)
  const [chosen] = records.splice(at, 1)
  if (chosen === undefined) return [datagram]
  if (what.kind === 'split') records.splice(at, 0, ...split(chosen, what.at))
  else if (what.kind === 'header') {
    const [offset = 0, size = 1] = what.field
    const copy = Buffer.from(chosen)
    if (offset + size <= copy.length) copy.writeUIntBE(what.value % 256 ** size, offset, size)
    records.splice(at, 0, copy)
  } else if (what.how === 'twice') records.push(chosen, chosen)
  else if (what.how === 'last') records.push(chosen)
  else if (what.how === 'first') records.unshift(chosen)
  else if (what.how === 'alone') records.splice(0, records.length, chosen)
  return records.length > 0 ? [Buffer.concat(records)] : []
}

function finish(made: Wire): void {
  made.settle()
  for (const [from, to] of [
    [made.client, made.server],
    [made.server, made.client],
  ] as const) {
    from.connection.send(Buffer.from('sent'))
    made.settle()
    expect(to.data.filter((data) => data !== 'sent')).toEqual([])
    expect(to.events.length).toBeLessThanOrEqual(2)
  }
  const [near, far] = [made.client, made.server]
  if (near.events[0] === 'connected' && far.events[0] === 'connected') {
    expect(near.connection.exportKeyingMaterial('x', 32)).toEqual(far.connection.exportKeyingMaterial('x', 32))
  }
  for (const { connection } of [near, far]) connection.close()
}

test('whoever is on the path changes, drops, repeats, reorders and forges records and messages', () => {
  let connected = 0
  fc.assert(
    fc.property(fc.array(onPath, { minLength: 1, maxLength: 3 }), (changes) => {
      const way: Way = (datagram, from, count) => {
        let datagrams = [datagram]
        for (const change of changes) {
          if (change.from === from && change.count === count)
            datagrams = datagrams.flatMap((one) => arriving(one, change))
        }
        return datagrams
      }
      const made = wire(identities, way)
      finish(made)
      if (made.client.events[0] === 'connected') connected++
    }),
    runs(RUNS),
  )
  // Some changes matter and some do not; a generator that lost its grip would show as all or nothing.
  expect(connected).toBeGreaterThan(0)
})

test('the other end sends messages that are whole and well signed, and not what they should be', () => {
  let before: number | undefined
  fc.assert(
    fc.property(
      role,
      fc.constantFrom(1, 2, 11, 12, 13, 14, 15, 16, 20),
      fc.array(edit, { minLength: 1, maxLength: 2 }),
      byte,
      fc.boolean(),
      (attacker, type, edits, retyped, keepsType) => {
        let isChanged = false
        const change = (message: Numbered): Numbered => {
          if (message.type !== type) return message
          const body = edits.reduce(edited, Buffer.from(message.body))
          isChanged ||= !body.equals(message.body) || (!keepsType && retyped !== type)
          return { ...message, body, type: keepsType ? type : retyped }
        }
        const made = wire(identities, undefined, { [attacker]: { steps: altered(attacker, change) } })
        finish(made)
        const victim = attacker === 'client' ? made.server : made.client
        // Both hash what was sent, so that what was changed behind the attacker's own hash can never pass.
        if (isChanged) expect(victim.events).not.toContain('connected')
        before ??= heapUsed()
      },
    ),
    runs(RUNS),
  )
  expect(heapUsed() - (before ?? 0)).toBeLessThan(8 * MIB)
})
