/** The checks of this host and its way to the server. */
import { lookup } from 'node:dns/promises'
import { NearportError } from '../../shared/errors.ts'
import { formatHostPort, type HostPort } from '../../shared/hostport.ts'
import { FAMILIES, type NatBehaviour } from '../../shared/nat.ts'
import { placed } from '../../shared/verdict.ts'
import { hasAddress } from '../addresses.ts'
import type { NatFinding, NatFindings } from '../nat.ts'
import { eachFamily, type Finding, failed, type ShownNat, unwell, well } from './report.ts'

/** Which address families this host and the server have. */
export async function checkAddresses(serverUrl: string): Promise<Finding> {
  const { hostname } = new URL(serverUrl)
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  let addresses: { readonly address: string; readonly family: number }[]
  try {
    addresses = await lookup(host, { all: true })
  } catch (error) {
    const reason = `no address is known for the server's name ${host}`
    return failed('addresses', new NearportError('server-unreachable', reason, { cause: error }))
  }
  const own = eachFamily((family, name) => (hasAddress(family) ? name : null))
  const its = eachFamily((family, name) =>
    addresses.some((address) => address.family === (family === 'ipv4' ? 4 : 6)) ? name : null,
  )
  const isLocal = addresses.some(({ address }) => /^127\.|^::1$/.test(address))
  const says = `this host has ${own.join(' and ') || 'no network'}, the server ${its.join(' and ')}`
  if (isLocal || own.some((name) => its.includes(name))) return well('addresses', says)
  const next = `connect this host to a network with ${its.join(' or ')}`
  return unwell('addresses', 1, says, next)
}

/** Whether the server's STUN answers. */
export function checkStun(stun: HostPort | null, findings: NatFindings | null): Finding {
  if (stun === null || findings === null) {
    const says = 'the server answers no STUN: only peers that reach each other by their own addresses meet'
    return unwell('stun', 1, says, 'start the server without --stun-port off')
  }
  const seen = eachFamily((family, name) => {
    const mapped = findings[family]?.mapped
    return mapped == null ? null : `${formatHostPort(mapped)} (${name})`
  })
  const asked = FAMILIES.flatMap((family) => findings[family]?.server ?? [])
  if (seen.length > 0) return well('stun', `UDP ${stun.port} of the server sees this host as ${seen.join(' and ')}`)
  const at = asked.map(formatHostPort).join(' and ') || formatHostPort(stun)
  const next = `let UDP ${stun.port} of the server in, and UDP out of this network`
  return unwell('stun', 1, `UDP ${at} does not answer: a firewall here or there drops it`, next)
}

/** What stands between this host and the server. */
export function checkNat(stun: HostPort, findings: NatFindings): Finding {
  const found = FAMILIES.flatMap((family) => findings[family] ?? []).filter(({ mapped }) => mapped !== null)
  const says = eachFamily((family, name) => {
    const finding = findings[family]
    if (finding == null || finding.mapped === null) return null
    return `over ${name} this host is ${placed(finding.behaviour)}: ${meaning(finding.behaviour)}`
  })
  if (found.some(({ behaviour }) => Object.values(behaviour).includes('port-independent'))) {
    says.push('what is in brackets cannot be told apart by a server with one address')
  }
  return well('nat', says.join('; '), remark(stun, found))
}

/** What a behaviour is good for. */
function meaning({ mapping, filtering }: NatBehaviour): string {
  if (mapping === 'unknown') return 'whom it can meet is not known'
  const moving = mapping === 'address-dependent' || mapping === 'address-and-port-dependent'
  if (moving) return 'each connection gets another port, so it meets only peers whose NAT does not filter by port'
  if (filtering === 'address-and-port-dependent') {
    return 'it meets every peer but one whose NAT gives each connection another port'
  }
  return filtering === 'unknown' ? 'it meets most peers' : 'it meets every peer'
}

/** What would let doctor see more. */
function remark({ port }: HostPort, found: readonly NatFinding[]): string | null {
  if (found.some(({ secondSilent }) => secondSilent)) {
    return `the second UDP port of the server (after ${port}, unless it was given another) is silent: open it to see more`
  }
  if (found.some(({ serverHas }) => serverHas === 'one-port')) {
    return 'run a server with a second UDP port for STUN to see more'
  }
  return null
}

export function shownNat(findings: NatFindings): ShownNat {
  const shown = (finding: NatFinding | null) =>
    finding && { ...finding.behaviour, address: finding.mapped && formatHostPort(finding.mapped) }
  return { ipv4: shown(findings.ipv4), ipv6: shown(findings.ipv6) }
}
