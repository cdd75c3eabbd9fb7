import { formatCandidate, type LocalReach, parseCandidate, RemoteCandidates } from '../shared/candidates.ts'
import { parseAddress } from '../shared/ip.ts'
import { LIMITS } from '../shared/limits.ts'
import { candidateTo } from './support/hostile.ts'

const networked: LocalReach = { loopback: false, linkLocal: false }
const admit = (text: string, reach = networked) => new RemoteCandidates(reach).admit(text)

describe('an address has one spelling', () => {
  test.each([
    ['192.168.1.2', '192.168.1.2'],
    ['::ffff:192.168.1.2', '192.168.1.2'],
    ['::FFFF:C0A8:0102', '192.168.1.2'],
    ['0:0:0:0:0:ffff:c0a8:102', '192.168.1.2'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8:0000::0001', '2001:db8::1'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['::', '::'],
  ])('%s is %s', (text, spelled) => {
    expect(parseAddress(text)?.text).toBe(spelled)
  })

  test.each([
    'localhost',
    'printer.local',
    '',
    '127.1',
    '2130706433',
    '0x7f.0.0.1',
    '0177.0.0.1',
    '127.000.000.001',
    '127.0.0.1.',
    '127.0.0.256',
    '１２７.0.0.1',
    'fe80::1%eth0',
    '[::1]',
    '::ffff:127.1',
    '::1::',
    ':',
    '1:2:3:4:5:6:7',
    '::1/64',
  ])('%j is none', (text) => {
    expect(parseAddress(text)).toBeNull()
  })
})

describe('what is tried', () => {
  test.each([
    ['198.51.100.7', 4000, 'host'],
    ['198.51.100.7', 53, 'srflx'],
    ['192.168.1.2', 1024, 'host'],
    ['10.255.255.255', 65_535, 'host'],
    ['172.31.0.1', 4000, 'host'],
    ['100.64.0.1', 4000, 'srflx'],
    ['2001:db8::1', 4000, 'host'],
    ['fd12:3456::1', 4000, 'host'],
  ])('%s port %i, %s', (address, port, type) => {
    expect(admit(candidateTo(address, port, { type }))).toContain(` ${address} ${port} typ ${type}`)
  })

  test('the rest of it is our own words', () => {
    const more = ' raddr 192.168.1.2 rport 5 generation 0 ufrag abcd network-id 1 tcptype active'
    const candidate = candidateTo('::FFFF:198.51.100.7', 4000, { transport: 'UDP', type: 'SRFLX', more })
    expect(admit(candidate)).toBe('candidate:1 1 udp 2116026367 198.51.100.7 4000 typ srflx raddr 0.0.0.0 rport 9')
    const six = candidateTo('2001:DB8::1', 4000, { type: 'srflx' })
    expect(admit(six)).toBe('candidate:1 1 udp 2116026367 2001:db8::1 4000 typ srflx raddr :: rport 9')
  })

  test('what is written is read as it was', () => {
    const candidate = parseCandidate(candidateTo('2001:db8::1', 4000, { type: 'srflx' }))
    expect(candidate && parseCandidate(formatCandidate(candidate))).toEqual(candidate)
  })
})

describe('what is not tried', () => {
  test.each([
    ['loopback', '127.0.0.1'],
    ['loopback', '127.255.255.254'],
    ['loopback', '::1'],
    ['loopback in disguise', '::ffff:127.0.0.1'],
    ['loopback in disguise', '::127.0.0.1'],
    ['loopback through a NAT64', '64:ff9b::7f00:1'],
    ['loopback through 6to4', '2002:7f00:1::1'],
    ['loopback through Teredo', '2001:0:7f00:1::1'],
    ['unspecified', '0.0.0.0'],
    ['unspecified', '::'],
    ['"this network"', '0.1.2.3'],
    ['broadcast', '255.255.255.255'],
    ['reserved', '240.0.0.1'],
    ['multicast', '224.0.0.251'],
    ['multicast', '239.255.255.250'],
    ['multicast', 'ff02::fb'],
    ['multicast', 'ff05::1:3'],
    ['link-local', '169.254.1.1'],
    ['link-local', 'fe80::1'],
    ['site-local', 'fec0::1'],
    ['cloud metadata', '169.254.169.254'],
    ['cloud metadata', '::ffff:169.254.169.254'],
    ['cloud metadata', '64:ff9b::a9fe:a9fe'],
    ['cloud metadata', '169.254.170.2'],
    ['cloud metadata', '100.100.100.200'],
    ['cloud metadata', '168.63.129.16'],
    ['cloud metadata', '192.0.0.192'],
    ['cloud metadata', 'fd00:ec2::254'],
    ['cloud metadata', 'fd20:ce::254'],
    ['a name', 'localhost'],
    ['a name', 'printer.example'],
    ['a .local name', '0c0ffee0-0000-4000-8000-000000000000.local'],
  ])('%s: %s', (_what, address) => {
    for (const type of ['host', 'srflx']) {
      for (const port of [161, 5000]) expect(admit(candidateTo(address, port, { type }))).toBeNull()
    }
  })

  test.each([
    ["a service's port, of a host", candidateTo('198.51.100.7', 161)],
    ["a service's port in a private network", candidateTo('192.168.1.1', 161, { type: 'srflx' })],
    ["a service's port in a private network", candidateTo('fd00::1', 53, { type: 'srflx' })],
    ['port 0', candidateTo('198.51.100.7', 0, { type: 'srflx' })],
    ['port 65536', candidateTo('198.51.100.7', 65_536)],
    ['TCP', candidateTo('198.51.100.7', 4000, { transport: 'tcp', more: ' tcptype passive' })],
    ['a relay', candidateTo('198.51.100.7', 4000, { type: 'relay', more: ' raddr 0.0.0.0 rport 0' })],
    ['a relay', candidateTo('198.51.100.7', 4000, { type: 'RELAY' })],
    ['prflx', candidateTo('198.51.100.7', 4000, { type: 'prflx' })],
    ['a second type behind the first', candidateTo('198.51.100.7', 161, { type: 'host typ srflx' })],
    ['no priority', candidateTo('198.51.100.7', 4000, { priority: 0 })],
    ['too high a priority', candidateTo('198.51.100.7', 4000, { priority: 2 ** 31 })],
    ['another component', candidateTo('198.51.100.7', 4000).replace(' 1 ', ' 2 ')],
    ['a foundation of 33 characters', candidateTo('198.51.100.7', 4000).replace(':1 ', `:${'1'.repeat(33)} `)],
    ['a second space', candidateTo('198.51.100.7', 4000).replace(' udp', '  udp')],
    ['a line of a description', `a=${candidateTo('198.51.100.7', 4000)}`],
    ['two lines', `${candidateTo('198.51.100.7', 4000)}\r\na=ice-lite`],
    ['two lines', `${candidateTo('198.51.100.7', 4000)}\n`],
    ['nothing', ''],
  ])('%s', (_what, candidate) => {
    expect(admit(candidate)).toBeNull()
  })
})

test('loopback is tried where this host has no network, and not its services', () => {
  const isolated = { loopback: true, linkLocal: false }
  for (const address of ['127.0.0.1', '::1']) {
    expect(admit(candidateTo(address, 5000), isolated)).not.toBeNull()
    expect(admit(candidateTo(address, 161, { type: 'srflx' }), isolated)).toBeNull()
  }
})

test('link-local addresses are tried where this host has one, and no metadata', () => {
  const linkLocal = { loopback: false, linkLocal: true }
  expect(admit(candidateTo('169.254.1.1', 5000), linkLocal)).not.toBeNull()
  for (const address of ['169.254.169.254', '169.254.170.2', 'fe80::1']) {
    expect(admit(candidateTo(address, 5000), linkLocal)).toBeNull()
  }
})

test('each place is tried once, and the first of them only', () => {
  const candidates = new RemoteCandidates(networked)
  const ports = Array.from({ length: 100 }, (_, index) => 2000 + index)
  const twice = ports.flatMap((port) => [candidateTo('192.168.1.2', port), candidateTo('::ffff:192.168.1.2', port)])
  const admitted = ['', candidateTo('127.0.0.1', 5000), ...twice].map((text) => candidates.admit(text))
  expect(admitted.filter((text) => text !== null)).toEqual(
    ports.slice(0, LIMITS.candidatesPerLink).map((port) => candidateTo('192.168.1.2', port)),
  )
})
