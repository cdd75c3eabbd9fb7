/** How two peers meet, in a word. */
import { expect, test } from '@jest/globals'
import { pathType } from '../shared/status.ts'

test.each([
  ['host', 'host', 'host'],
  ['host', 'srflx', 'srflx'],
  ['prflx', 'host', 'prflx'],
  ['srflx', 'prflx', 'prflx'],
] as const)('local %s and remote %s make a path of type %s', (local, remote, expected) => {
  const end = (type: RTCIceCandidateType) => ({ address: '192.0.2.1', port: 1, type })
  expect(pathType({ local: end(local), remote: end(remote) })).toBe(expected)
})

test.each([
  ...[
    '127.0.0.1',
    '10.1.2.3',
    '172.16.0.9',
    '172.31.0.9',
    '192.168.1.185',
    '169.254.1.1',
    '::1',
    'fe80::1',
    'fd00::2',
  ].map((address) => [address, 'host'] as const),
  ...['172.32.0.9', '100.64.0.1', '192.0.2.1', '2001:db8::1', ''].map((address) => [address, 'prflx'] as const),
])('an end that was not announced, at "%s", makes a path of type %s', (address, expected) => {
  const local = { address: '192.168.1.2', port: 1, type: 'host' } as const
  expect(pathType({ local, remote: { address, port: 1, type: 'prflx' } })).toBe(expected)
})
