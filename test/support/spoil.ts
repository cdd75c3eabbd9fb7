/** Ways to spoil what a negotiation and a control channel say, so that it stays nearly right. */
import fc from 'fast-check'
import { candidateTo, descriptionLines } from './hostile.ts'

const OWN = '192.168.1.2'
const ADDRESSES = [
  OWN,
  `::ffff:${OWN}`,
  '::FFFF:c0a8:0102',
  '2001:db8::1',
  'fd00::1',
  '127.0.0.1',
  '::1',
  '::ffff:7f00:1',
  '0177.0.0.1',
  '2130706433',
  '0.0.0.0',
  '255.255.255.255',
  '224.0.0.251',
  'ff02::fb',
  '169.254.169.254',
  '100.100.100.200',
  'fd00:ec2::254',
  '64:ff9b::a9fe:a9fe',
  'fe80::1',
  'localhost',
  'printer.example',
  '0c0ffee0.local',
  '%',
]
const PORTS = ['0', '1', '53', '161', '1023', '1024', '5000', '65535', '65536', '-1', '1e4', '05000', '']
const WORDS = [
  'udp',
  'UDP',
  'tcp',
  'host',
  'srflx',
  'prflx',
  'relay',
  'typ',
  'raddr',
  'rport',
  '1',
  '2',
  '',
  '\u0000',
  'é',
]
/** Lines that an engine might obey. */
const LINES = [
  'a=ice-lite',
  'a=end-of-candidates',
  'a=ice-options:ice2 renomination',
  'a=ice-pwd:26b7220603e1b05367ecf2',
  'a=ice-ufrag:evil',
  'a=setup:passive',
  'a=setup:holdconn',
  'a=fingerprint:sha-1 AA:BB',
  'a=mid:7',
  'a=inactive',
  'a=sctp-port:0',
  'a=max-message-size:0',
  'a=group:BUNDLE 0 1 2',
  'a=remote-candidates:1 127.0.0.1 5000',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
  'm=application 0 UDP/DTLS/SCTP webrtc-datachannel',
  'c=IN IP4 127.0.0.1',
  'c=IN IP6 ::1',
  '',
  ' ',
]

/** Mostly `good`. */
function mostly<T>(good: fc.Arbitrary<T>, any: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 4, arbitrary: good }, any)
}

/** A word of a candidate to be replaced by another. */
type Replacement = readonly [at: number, word: string]

const spoiltCandidate = fc
  .tuple(
    mostly(fc.constantFrom(OWN, '2001:db8::1', '198.51.100.7'), fc.constantFrom(...ADDRESSES)),
    mostly(fc.integer({ min: 1, max: 65_535 }).map(String), fc.constantFrom(...PORTS)),
    mostly(
      fc.constant<Replacement[]>([]),
      fc.array<Replacement>(fc.tuple(fc.nat(9), fc.constantFrom(...WORDS, ...ADDRESSES, ...PORTS)), { maxLength: 2 }),
    ),
    mostly(fc.constantFrom('host', 'srflx'), fc.constantFrom('relay', 'prflx')),
  )
  .map(([address, port, replacements, type]) => {
    const words = candidateTo(address, 0, { type }).split(' ')
    words[5] = port
    for (const [at, word] of replacements) words[at % (words.length + 1)] = word
    return words.join(' ')
  })

type Lines = readonly string[]
type Spoil<T> = (value: T) => T
const at = (lines: Lines, index: number): number => index % Math.max(1, lines.length)

const spoilLines: fc.Arbitrary<Spoil<Lines>> = fc.oneof(
  // a line away, twice, elsewhere, in other letters, cut, or with something in it
  fc.nat(40).map((index) => (lines: Lines) => lines.toSpliced(at(lines, index), 1)),
  fc.nat(40).map((index) => (lines: Lines) => [...lines, lines[at(lines, index)] ?? '']),
  fc.tuple(fc.nat(40), fc.nat(40)).map(([from, to]) => (lines: Lines) => {
    return lines.toSpliced(at(lines, from), 1).toSpliced(at(lines, to), 0, lines[at(lines, from)] ?? '')
  }),
  fc.tuple(fc.nat(40), fc.boolean()).map(([index, upper]) => (lines: Lines) => {
    const line = lines[at(lines, index)] ?? ''
    return lines.with(at(lines, index), upper ? line.toUpperCase() : line.toLowerCase())
  }),
  fc.tuple(fc.nat(40), fc.nat(40)).map(([index, length]) => (lines: Lines) => {
    return lines.with(at(lines, index), (lines[at(lines, index)] ?? '').slice(0, length))
  }),
  fc
    .tuple(fc.nat(40), fc.nat(40), fc.string({ unit: 'binary', maxLength: 3 }))
    .map(([index, place, text]) => (lines: Lines) => {
      const line = lines[at(lines, index)] ?? ''
      return lines.with(at(lines, index), line.slice(0, place) + text + line.slice(place))
    }),
  // another line, one that is endless, many
  fc.tuple(fc.nat(40), fc.constantFrom(...LINES)).map(
    ([index, line]) =>
      (lines: Lines) =>
        lines.toSpliced(at(lines, index), 0, line),
  ),
  fc.tuple(fc.nat(40), fc.nat(15_000)).map(([index, length]) => (lines: Lines) => {
    return lines.with(at(lines, index), `${lines[at(lines, index)]}${'A'.repeat(length)}`)
  }),
  spoiltCandidate.map((candidate) => (lines: Lines) => [...lines, `a=${candidate}`]),
  fc.array(spoiltCandidate, { minLength: 30, maxLength: 60 }).map((candidates) => (lines: Lines) => {
    return [...lines, ...candidates.map((candidate) => `a=${candidate}`)]
  }),
)

const spoiltDescription = fc
  .tuple(
    fc.constantFrom('offer' as const, 'answer' as const),
    fc.array(spoilLines, { maxLength: 3 }),
    fc.constantFrom('\r\n', '\r\n', '\n', '\r'),
  )
  .map(([type, spoils, end]) => {
    const lines = spoils.reduce<Lines>((spoilt, spoil) => spoil(spoilt), descriptionLines(type))
    return { type, sdp: lines.join(end) + end, nat: null }
  })

const NAT = { mapping: 'none', filtering: 'unknown' }

/** JSON with a field replaced by anything, taken away, or added; at any depth. */
export function spoilJson(value: object): fc.Arbitrary<unknown> {
  return fc
    .tuple(
      fc.array(fc.nat(5), { minLength: 1, maxLength: 3 }),
      fc.option(fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(-1, 0, 1e300, 2 ** 53, '', [], {})), {
        nil: undefined,
      }),
      fc.constantFrom('more', '__proto__', 'constructor', 'type', 'toString'),
    )
    .map(([path, replacement, key]) => withField(value, path, replacement, key))
}

function withField(
  value: unknown,
  [index = 0, ...rest]: readonly number[],
  replacement: unknown,
  key: string,
): unknown {
  if (typeof value !== 'object' || value === null) return replacement
  const field = Object.keys(value)[index] ?? key
  const inner = (value as Record<string, unknown>)[field]
  const isDeeper = rest.length > 0 && typeof inner === 'object' && inner !== null
  const changed = isDeeper ? withField(inner, rest, replacement, key) : replacement
  return Array.isArray(value) ? value.with(index % Math.max(1, value.length), changed) : { ...value, [field]: changed }
}

const signal = fc.oneof(
  { weight: 6, arbitrary: spoiltDescription },
  {
    weight: 3,
    arbitrary: spoiltCandidate.map((candidate) => ({
      type: 'candidate' as const,
      candidate: { candidate, sdpMid: '0', sdpMLineIndex: 0 },
    })),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'nat' as const, nat: { ipv4: NAT, ipv6: null } }) },
)

/** What a member may seal: a signal that is nearly one, most of the time. */
export const spoiltSignal: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: signal },
  { weight: 2, arbitrary: signal.chain(spoilJson) },
  { weight: 1, arbitrary: fc.oneof(fc.jsonValue(), fc.string()) },
)
