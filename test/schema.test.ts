import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import * as v from 'valibot'
import { fromBase64Url, toBase64Url } from '../shared/bytes.ts'
import { base64url } from '../shared/schema.ts'

describe.each([1, 2, 3, 32, 64])('base64url of %i bytes', (length) => {
  const accepts = (text: string) => v.is(base64url(length), text)
  const bytes = fc.uint8Array({ minLength: length, maxLength: length })
  const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

  test('is what is written of so many bytes', () => {
    fc.assert(fc.property(bytes, (some) => accepts(toBase64Url(some))))
  })

  test('is nothing that would not have been written: spare bits, other characters', () => {
    fc.assert(
      fc.property(bytes, fc.constantFrom(...ALPHABET, '=', '+', '/', '\n', ''), (some, last) => {
        const text = toBase64Url(some).slice(0, -1) + last
        expect(accepts(text)).toBe(fromBase64Url(text)?.length === length)
      }),
      { numRuns: 500 },
    )
  })

  test('is nothing of another length', () => {
    const other = fc.uint8Array({ maxLength: 2 * length }).filter((some) => some.length !== length)
    fc.assert(fc.property(other, (some) => !accepts(toBase64Url(some))))
    expect(accepts(`${toBase64Url(new Uint8Array(length))}\n`)).toBe(false)
  })
})
