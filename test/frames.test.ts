import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { DATA_OVERHEAD, encodeFrame, type Frame, FrameType, RESET_CODES } from '../shared/frames.ts'
import { LIMITS } from '../shared/limits.ts'
import { bytes, codeOf, decode, frame, fromHex, join, mutate, mutation, RUNS } from './support/frames.ts'
import { runs } from './support/sample.ts'

const PROTOCOL = readFileSync(new URL('../docs/protocol.md', import.meta.url), 'utf8')

/** Every frame type, to the byte; the table in docs/protocol.md shows the same ones. */
const PINNED: readonly [hex: string, frame: Frame][] = [
  ['01 00000001 0000', { type: 'OPEN', stream: 1 }],
  ['02 00000001 000b 0000000000000000 6a6f62', { type: 'DATA', stream: 1, offset: 0, payload: bytes('job') }],
  [
    '02 01020304 0009 0000000100000005 2a',
    { type: 'DATA', stream: 0x01020304, offset: 2 ** 32 + 5, payload: bytes('*') },
  ],
  ['03 00000001 000c 0000000000040000 00080000', { type: 'CREDIT', stream: 1, taken: 262_144, window: 524_288 }],
  ['04 00000001 0008 0000000000000003', { type: 'FIN', stream: 1, offset: 3 }],
  ['05 00000001 0002 0001', { type: 'RESET', stream: 1, code: 'peer-reset', text: '' }],
  ['05 ffffffff 0005 0002 6f6666', { type: 'RESET', stream: 2 ** 32 - 1, code: 'target-refused', text: 'off' }],
  ['06 00000001 0001 04', { type: 'ACK', stream: 1, of: 'FIN' }],
  ['06 00000002 0001 05', { type: 'ACK', stream: 2, of: 'RESET' }],
  [
    '07 00000001 0015 0000000000000003 0000000000000001 00040000 01',
    { type: 'RESUME', stream: 1, received: 3, taken: 1, window: 262_144, fin: true, reset: false },
  ],
  ['08 00000000 0000', { type: 'PING', stream: 0 }],
  ['09 00000000 0008 00000002 00000001', { type: 'SYNC', stream: 0, last: 2, streams: 1 }],
  ['0a 00000000 0008 0000000000010007', { type: 'ARRIVED', stream: 0, bytes: 65_543 }],
]

describe('the bytes of a frame', () => {
  test.each(PINNED)('%s', (hex, pinned) => {
    expect(Buffer.from(encodeFrame(pinned)).toString('hex')).toBe(hex.replaceAll(' ', ''))
    expect(decode(fromHex(hex))).toEqual([pinned])
  })

  test('are those of docs/protocol.md, where every type has an example', () => {
    const documented = [...PROTOCOL.matchAll(/^\| `(0[1-9a] [0-9a-f ]+)` \|/gm)].map((match) => match[1])
    expect(documented).toEqual(PINNED.map(([hex]) => hex))
    expect(new Set(PINNED.map(([, { type }]) => type)).size).toBe(Object.keys(FrameType).length)
  })

  test('the numbers of types and of RESET codes never change', () => {
    expect(RESET_CODES).toEqual({
      'peer-reset': 1,
      'target-refused': 2,
      'target-unreachable': 3,
      'target-timeout': 4,
      'queue-full': 5,
      'too-many-streams': 6,
      'idle-timeout': 7,
    })
  })
})

describe('encoding and decoding', () => {
  test('any frames, together in one message, come out as they went in', () => {
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 8 }), (frames) => {
        expect(decode(join(...frames.map(encodeFrame)))).toEqual(frames)
      }),
      { ...runs(20_000), examples: [[[{ type: 'RESET', stream: 1, code: 'peer-reset', text: '\ufeffoff' }]]] },
    )
  })

  test('the largest payload of a message', () => {
    const payload = new Uint8Array(LIMITS.messageBytes - DATA_OVERHEAD).fill(7)
    const message = encodeFrame({ type: 'DATA', stream: 1, offset: 0, payload })
    expect(message).toHaveLength(LIMITS.messageBytes)
    expect(decode(message)).toEqual([{ type: 'DATA', stream: 1, offset: 0, payload }])
  })

  test('the text of a RESET is cut to its limit, never inside a character', () => {
    const [cut] = decode(encodeFrame({ type: 'RESET', stream: 1, code: 'peer-reset', text: `x${'€'.repeat(200)}` }))
    expect(cut).toMatchObject({ text: `x${'€'.repeat(85)}` })
  })
})

describe('what is refused', () => {
  test.each<[string, string]>([
    ['an empty message', ''],
    ['half a header', '01 00000001 00'],
    ['a body longer than the message', '04 00000001 0008 00000000000000'],
    ['stream 0', '01 00000000 0000'],
    ['type 0', '00 00000001 0000'],
    ['an ACK of nothing', '06 00000001 0000'],
    ['an ACK of DATA', '06 00000001 0001 02'],
    ['a RESUME that is short', '07 00000001 0000'],
    ['a RESUME with unknown flags', '07 00000001 0015 0000000000000000 0000000000000000 00000000 04'],
    ['a SYNC of a stream', '09 00000001 0008 00000000 00000000'],
    ['a SYNC that is short', '09 00000000 0004 00000000'],
    ['a PING of a stream', '08 00000001 0000'],
    ['a PING with a body', '08 00000000 0001 00'],
    ['an ARRIVED of a stream', '0a 00000001 0008 0000000000000000'],
    ['an ARRIVED that is short', '0a 00000000 0007 00000000000000'],
    ['type 11', '0b 00000001 0000'],
    ['an OPEN with a body', '01 00000001 0001 00'],
    ['a DATA without data', '02 00000001 0008 0000000000000000'],
    ['a DATA without a whole offset', '02 00000001 0003 000000'],
    ['an offset of 2^53', '04 00000001 0008 0020000000000000'],
    ['a CREDIT that is short', '03 00000001 000b 0000000000000000 000000'],
    ['a CREDIT that is long', '03 00000001 000d 0000000000000000 00000000 00'],
    ['a FIN that is long', '04 00000001 0009 0000000000000000 00'],
    ['a RESET without a code', '05 00000001 0001 00'],
    ['RESET code 0', '05 00000001 0002 0000'],
    ['a RESET code not given yet', '05 00000001 0002 0008'],
    ['a RESET whose text is not UTF-8', '05 00000001 0003 0001 ff'],
    ['a RESET whose text is too long', `05 00000001 0103 0001 ${'61'.repeat(257)}`],
  ])('%s', (_, hex) => {
    expect(() => decode(fromHex(hex))).toThrow(expect.objectContaining({ code: 'frame-malformed' }))
  })

  test('a message cut at any byte but the end of a frame', () => {
    const parts = PINNED.map(([hex]) => fromHex(hex))
    const whole = join(...parts)
    const ends = parts.map((_, index) => join(...parts.slice(0, index + 1)).length)
    for (let length = 0; length < whole.length; length++) {
      const code = codeOf(() => decode(whole.subarray(0, length)))
      expect([length, code]).toEqual([length, ends.includes(length) ? null : 'frame-malformed'])
    }
  })

  test('any other value of any single byte decodes or is refused by name', () => {
    for (const [hex] of PINNED) {
      const message = fromHex(hex)
      for (const [at, value] of message.entries()) {
        for (let other = 0; other < 256; other++) {
          message[at] = other
          expect([null, 'frame-malformed']).toContain(codeOf(() => decode(message)))
        }
        message[at] = value
      }
    }
  })
})

describe(`${RUNS} random and mutated messages`, () => {
  test('the codec throws frame-malformed, and nothing else', () => {
    const random = fc.uint8Array({ maxLength: 64 })
    const mutated = fc
      .tuple(fc.array(frame, { minLength: 1, maxLength: 3 }), fc.array(mutation, { minLength: 1, maxLength: 3 }))
      .map(([frames, mutations]) => mutate(join(...frames.map(encodeFrame)), mutations))
    const seen = { decoded: 0, refused: 0 }
    fc.assert(
      fc.property(fc.oneof(random, mutated), (message) => {
        const code = codeOf(() => decode(message))
        if (code === null) seen.decoded++
        else seen.refused++
        return code === null || code === 'frame-malformed'
      }),
      runs(100_000),
    )
    expect(Math.min(seen.decoded, seen.refused)).toBeGreaterThan(RUNS / 100)
  })
})
