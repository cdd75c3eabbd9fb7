/** The addresses of this host. */
import { networkInterfaces } from 'node:os'
import type { Family } from '../shared/nat.ts'

/** One spelling for each address, as they are compared; without its zone. */
export function canonical(address: string): string {
  const zoneless = address.replace(/%.*$/, '')
  // Not net.isIPv6: its first call takes 15 ms, and every start would pay for it.
  return zoneless.includes(':') ? new URL(`http://[${zoneless}]`).hostname.slice(1, -1) : zoneless
}

const interfaceAddresses = () => Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])

export const ownAddresses = (): string[] => interfaceAddresses().map(({ address }) => canonical(address))

/** More than the addresses a host gives itself (RFC 3927, RFC 4291). */
const GIVEN = { ipv4: /^(?!169\.254\.)/, ipv6: /^(?!fe[89ab])/i }
/** What leads beyond the own site, through a NAT for IPv4. */
export const GLOBAL = { ...GIVEN, ipv6: /^[23]/ }

/** Whether this host has an address that others might reach, on its network at least. */
export function hasAddress(family: Family, kind: RegExp = GIVEN[family]): boolean {
  return interfaceAddresses().some(
    ({ internal, address, family: its }) => !internal && its.toLowerCase() === family && kind.test(address),
  )
}
