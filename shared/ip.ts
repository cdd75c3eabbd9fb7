/** IP addresses as they stand in candidates: one spelling for each, and how far each one leads. */

/**
 * `link-local` and `loopback` mean something else on every host. `never`: no peer of ours is there, or somebody is whom
 * only this host may ask.
 */
export type Reach = 'public' | 'private' | 'link-local' | 'loopback' | 'never'

export interface Address {
  /** As RFC 5952 writes it; an IPv4-mapped IPv6 address as the IPv4 address it is. */
  readonly text: string
  readonly reach: Reach
}

/** Prefixes of the special-purpose registries (RFC 6890) and what clouds put at them; the first that fits counts. */
const REACH: readonly (readonly [prefix: string, reach: Reach])[] = [
  // What a cloud tells its own hosts, keys included: AWS, Azure, Google, Oracle, OpenStack; AWS containers; Tencent.
  ['169.254.169.0/24', 'never'],
  ['169.254.170.0/24', 'never'],
  ['169.254.0.23/32', 'never'],
  // The same, elsewhere: Alibaba, Azure, and in 192.0.0.0/24, where no host of others is anyway, Oracle.
  ['100.100.100.200/32', 'never'],
  ['168.63.129.16/32', 'never'],
  ['192.0.0.0/24', 'never'],
  ['0.0.0.0/8', 'never'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'],
  ['10.0.0.0/8', 'private'],
  ['172.16.0.0/12', 'private'],
  ['192.168.0.0/16', 'private'],
  // Carriers' NATs (RFC 6598), and what benchmarks and VPNs use (RFC 2544).
  ['100.64.0.0/10', 'private'],
  ['198.18.0.0/15', 'private'],
  // Multicast, what is reserved, and broadcast.
  ['224.0.0.0/3', 'never'],
  ['0.0.0.0/0', 'public'],
  // The clouds once more: AWS, Google, Oracle, Scaleway.
  ['fd00:ec2::/32', 'never'],
  ['fd20:ce::/32', 'never'],
  ['fd00:c1::/32', 'never'],
  ['fd00:42::/32', 'never'],
  ['::1/128', 'loopback'],
  // Teredo and 6to4: an IPv4 address in disguise.
  ['2001::/32', 'never'],
  ['2002::/16', 'never'],
  ['2000::/3', 'public'],
  ['fc00::/7', 'private'],
  // The rest: multicast, IPv4 in other disguises, and fe80::/10, which leads nowhere without the name of an interface.
  ['::/0', 'never'],
]

const OCTET = /^(?:0|[1-9]\d{0,2})$/

/** An address that is nothing but that: no name, zone, brackets, octal or hexadecimal IPv4. Null for anything else. */
export function parseAddress(text: string): Address | null {
  const bytes = text.includes(':') ? bytesOfIPv6(text) : bytesOfIPv4(text)
  if (bytes === null) return null
  const plain = unmapped(bytes)
  const [, reach = 'never'] = PREFIXES.find(([prefix]) => contains(prefix, plain)) ?? []
  return { text: plain.length === 4 ? plain.join('.') : textOfIPv6(plain), reach }
}

export const isIPv6 = (address: Address): boolean => address.text.includes(':')

function bytesOfIPv4(text: string): number[] | null {
  const octets = text.split('.')
  if (octets.length !== 4 || !octets.every((octet) => OCTET.test(octet) && Number(octet) <= 255)) return null
  return octets.map(Number)
}

function bytesOfIPv6(text: string): number[] | null {
  if (!/^[0-9A-Fa-f:.]{2,45}$/.test(text) || !URL.canParse(`http://[${text}]`)) return null
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::')
  const [before, after] = [head, tail ?? ''].map((part) => (part === '' ? [] : part.split(':')))
  if (before === undefined || after === undefined) return null
  const zeros: string[] = new Array(8 - before.length - after.length).fill('0')
  return [...before, ...zeros, ...after].flatMap((group) => {
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}

/** The URL standard writes addresses as RFC 5952 does. */
function textOfIPv6(bytes: readonly number[]): string {
  const groups = Array.from({ length: 8 }, (_, at) =>
    (((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0)).toString(16),
  )
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}

/** ::ffff:a.b.c.d is a.b.c.d to a socket (RFC 4291 section 2.5.5.2). */
function unmapped(bytes: number[]): number[] {
  const isMapped =
    bytes.length === 16 && bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255
  return isMapped ? bytes.slice(12) : bytes
}

interface Prefix {
  readonly bytes: readonly number[]
  readonly bits: number
}

const PREFIXES = REACH.map(([text, reach]) => [prefixOf(text), reach] as const)

function prefixOf(text: string): Prefix {
  const [address = '', bits] = text.split('/')
  const bytes = address.includes(':') ? bytesOfIPv6(address) : bytesOfIPv4(address)
  return { bytes: bytes ?? [], bits: Number(bits) }
}

function contains({ bytes, bits }: Prefix, address: readonly number[]): boolean {
  if (bytes.length !== address.length) return false
  return bytes.every((byte, at) => {
    const mask = 0xff00 >> Math.min(8, Math.max(0, bits - 8 * at))
    return ((byte ^ (address[at] ?? 0)) & mask & 0xff) === 0
  })
}
