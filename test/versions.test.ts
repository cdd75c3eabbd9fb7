/** What two sides come to speak. */
import { describe, expect, test } from '@jest/globals'
import { agree, type Spoken } from '../shared/versions.ts'

const names = { own: 'this side', other: 'the other side' }
const spoken = (least: number, version: number, capabilities: string[] = []): Spoken => ({
  least,
  version,
  capabilities,
})

test.each([
  [spoken(3, 3), spoken(3, 3), 3],
  [spoken(3, 5), spoken(4, 9), 5],
  [spoken(4, 9), spoken(3, 5), 5],
  [spoken(3, 5), spoken(5, 9), 5],
  [spoken(1, 65_535), spoken(7, 7), 7],
])('of %j and %j it is version %j', (own, other, version) => {
  expect(agree(own, other, names).version).toBe(version)
})

test.each([
  [spoken(3, 3), spoken(2, 2), 'the other side'],
  [spoken(3, 3), spoken(4, 4), 'this side'],
  [spoken(4, 9), spoken(1, 3), 'the other side'],
  [spoken(1, 3), spoken(4, 9), 'this side'],
])('of %j and %j there is none, and %s is to be updated', (own, other, whom) => {
  const fails = expect.objectContaining({
    code: 'version-mismatch',
    message: expect.stringMatching(`: update ${whom}$`),
  })
  expect(() => agree(own, other, names)).toThrow(fails)
})

describe('capabilities', () => {
  test('are those of both, and what one alone knows is ignored', () => {
    const { capabilities } = agree(spoken(3, 3, ['a', 'b']), spoken(3, 3, ['c', 'b', 'b']), names)
    expect([...capabilities]).toEqual(['b'])
  })
})
