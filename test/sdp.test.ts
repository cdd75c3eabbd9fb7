import fc from 'fast-check'
import { encodeControl, isBye, parseControl } from '../shared/control.ts'
import { NearportError } from '../shared/errors.ts'
import { LIMITS } from '../shared/limits.ts'
import { decodeSignal, parseSignal } from '../shared/sdp.ts'
import { runs } from './support/sample.ts'

describe('a signal that is not one is refused', () => {
  test.each([
    ['null', null],
    ['another type', { type: 'rollback', sdp: '' }],
    ["simple-peer's own requests", { renegotiate: true }],
    ['an SDP that is no text', { type: 'offer', sdp: 5 }],
    ['an SDP that is too long', { type: 'offer', sdp: 'x'.repeat(LIMITS.sdpChars + 1) }],
    [
      'a NAT of no known kind',
      { type: 'offer', sdp: '', nat: { ipv4: { mapping: 'odd', filtering: 'unknown' }, ipv6: null } },
    ],
    ['a NAT without its families', { type: 'answer', sdp: '', nat: {} }],
    ['no NAT where one is told', { type: 'nat', nat: null }],
    ['a candidate with line breaks', { type: 'candidate', candidate: { candidate: 'candidate:1\r\na=x' } }],
    ['a candidate that is too long', { type: 'candidate', candidate: { candidate: 'x'.repeat(513) } }],
  ])('%s', (_what, value) => {
    expect(() => parseSignal(value)).toThrow(expect.objectContaining({ code: 'sdp-invalid' }))
  })

  test('any bytes at all: an error of ours, or a signal', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((json) => Buffer.from(json)),
        ),
        (bytes) => {
          try {
            decodeSignal(bytes)
          } catch (error) {
            expect((error as NearportError).code).toBe('sdp-invalid')
          }
        },
      ),
      runs(20_000),
    )
  })
})

describe('control messages', () => {
  test('come back as they were', () => {
    const open = { type: 'open', channel: 7, name: 'pc1', resume: false } as const
    expect(parseControl(encodeControl(open))).toEqual(open)
    expect(isBye(encodeControl(open))).toBe(false)
    expect(isBye(encodeControl({ type: 'bye', code: 'shutting-down', message: '' }))).toBe(true)
  })

  test.each([
    ['{"type":"open","channel":0,"name":"pc1"}'],
    ['{"type":"open","channel":1024,"name":"pc1"}'],
    ['{"type":"open","channel":1,"name":"PC1"}'],
    ['{"type":"open","channel":1,"name":"pc1","more":1}'],
    ['{"type":"bye","code":"no-such-code","message":""}'],
    ['{"type":"hello","version":1,"nonce":"AA","identity":"AA"}'],
    ['[]'],
    ['null'],
  ])('%s is refused', (text) => {
    expect(() => parseControl(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'message-malformed' }))
  })

  test('any bytes at all: an error of ours, or a message', () => {
    const almost = fc.record({
      type: fc.constantFrom('hello', 'proof', 'open', 'opened', 'closed', 'bye', 'ping'),
      channel: fc.anything(),
      name: fc.anything(),
      code: fc.anything(),
    })
    const text = fc.oneof(
      fc.json(),
      almost.map((value) => String(JSON.stringify(value))),
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          text.map((json) => Buffer.from(json)),
        ),
        (bytes) => {
          try {
            parseControl(bytes)
          } catch (error) {
            expect((error as NearportError).code).toBe('message-malformed')
          }
        },
      ),
      runs(50_000),
    )
    expect(NearportError).toBeDefined()
  })
})
