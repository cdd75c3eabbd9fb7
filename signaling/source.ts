/** Where a connection comes from: the host it counts for, and the proxies that may say that it is another's. */
import { BlockList, isIP, isIPv4, SocketAddress } from 'node:net'
import { NearportError } from '../shared/errors.ts'

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/

/** The address in its one spelling; IPv4 as such, also where a socket for both families shows it mapped into IPv6. */
function canonical(address: string): string | null {
  const zoneless = address.replace(/%.*$/, '')
  const family = isIP(zoneless)
  if (family !== 6) return family === 4 ? zoneless : null
  const text = new SocketAddress({ address: zoneless, family: 'ipv6' }).address
  return MAPPED.exec(text)?.[1] ?? text
}

/**
 * What an address counts as: an IPv4 address by itself, of an IPv6 address the first 64 bits, as every host of a network
 * can take as many addresses of it as it likes (RFC 4291 section 2.5.4). Null for what is no address.
 */
export function sourceOf(address: string): string | null {
  const text = canonical(address)
  return text === null || isIPv4(text) ? text : `${first64(text)}::/64`
}

function first64(ipv6: string): string {
  const [head = '', tail = ''] = ipv6.split('::')
  const groups = head === '' ? [] : head.split(':')
  // An IPv4 address at the end stands for two groups.
  const after = tail === '' ? 0 : tail.split(':').length + (tail.includes('.') ? 1 : 0)
  while (groups.length + after < 8) groups.push('0')
  if (tail !== '') groups.push(...tail.split(':'))
  return groups.slice(0, 4).join(':')
}

/** An address range as one writes it: ADDRESS/BITS, or one ADDRESS. */
export interface AddressRange {
  readonly address: string
  readonly bits: number
}

/** Throws `usage`. */
export function parseRange(text: string): AddressRange {
  const [, address = '', given] = /^([^/%]+)(?:\/([1-9]\d{0,2}))?$/.exec(text) ?? []
  const most = isIP(address) === 4 ? 32 : 128
  const bits = given === undefined ? most : Number(given)
  if (isIP(address) === 0 || bits > most) {
    const wanted = 'must be an address or ADDRESS/BITS with at least one bit, for example 10.0.0.0/8'
    throw new NearportError('usage', `--trusted-proxy ${wanted}, not "${text}"`)
  }
  return { address, bits }
}

/** The proxies whose word on where a request comes from is taken. */
export class TrustedProxies {
  readonly #ranges = new BlockList()

  constructor(ranges: readonly AddressRange[]) {
    for (const { address, bits } of ranges) this.#ranges.addSubnet(address, bits, isIPv4(address) ? 'ipv4' : 'ipv6')
  }

  has(address: string): boolean {
    const text = canonical(address)
    return text !== null && this.#ranges.check(text, isIPv4(text) ? 'ipv4' : 'ipv6')
  }

  /**
   * The address a request comes from. Each proxy adds at the right of X-Forwarded-For who connected to it, so that the
   * first one from there that is no proxy of ours is the client; what stands before it is the client's own word. Null
   * when a proxy of ours forwards something else than addresses.
   */
  clientOf(remote: string, forwardedFor: string | undefined): string | null {
    if (forwardedFor === undefined || !this.has(remote)) return remote
    let client = remote
    for (const entry of forwardedFor.split(',').reverse()) {
      client = entry.trim()
      if (isIP(client) === 0 || client.includes('%')) return null
      if (!this.has(client)) break
    }
    return client
  }
}
