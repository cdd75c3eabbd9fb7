import { describe, expect, test } from '@jest/globals'
import { parseRange, sourceOf, TrustedProxies } from '../signaling/source.ts'

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:c000:201', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2::', '2001:db8:1:2::/64'],
  ['2001:db8::5', '2001:db8:0:0::/64'],
  ['2001:0db8:0000:0000:0000:0000:0000:0006', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['', null],
  ['x', null],
  ['010.0.0.1', null],
])('%s counts as %s', (address, source) => {
  expect(sourceOf(address)).toBe(source)
})

test.each([
  '',
  '10.0.0.0/0',
  '10.0.0.0/33',
  '10.0.0.0/08',
  '::/129',
  '10.0.0.0/8/8',
  'proxy',
  '10.0.0/8',
  'fe80::1%1/64',
])('the range "%s" is refused', (text) => {
  expect(() => parseRange(text)).toThrow(expect.objectContaining({ code: 'usage' }))
})

describe('the client of a request', () => {
  const proxies = new TrustedProxies(['10.0.0.0/8', '2001:db8::/32', '192.0.2.7'].map(parseRange))

  test.each([
    ['of nobody we trust is who connects', '192.0.2.1', '203.0.113.9', '192.0.2.1'],
    ['that nobody forwards is the proxy itself', '10.0.0.1', undefined, '10.0.0.1'],
    ['is who the proxy says', '10.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['is not who the client says', '10.0.0.1', '8.8.8.8, x, 203.0.113.9', '203.0.113.9'],
    ['is found behind several proxies', '::ffff:10.0.0.1', '203.0.113.9 ,2001:db8::1,\t10.9.9.9', '203.0.113.9'],
    ['may be a proxy', '192.0.2.7', '10.1.1.1, 10.0.0.2', '10.1.1.1'],
    ['is not known where a proxy says something else', '10.0.0.1', '203.0.113.9, unknown', null],
    ['nor where it says nothing', '10.0.0.1', '', null],
  ])('%s', (_what, remote, forwardedFor, client) => {
    expect(proxies.clientOf(remote, forwardedFor)).toBe(client)
  })
})
