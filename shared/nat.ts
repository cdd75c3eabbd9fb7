/**
 * What stands between a peer and the internet does with UDP, in the words of RFC 4787 and RFC 5780: which port it
 * gives, and whom it lets in.
 */
import * as v from 'valibot'
import { NearportError } from './errors.ts'
import type { HostPort } from './hostport.ts'

const MAPPINGS = [
  /** No NAT: others see the peer at its own address. */
  'none',
  'endpoint-independent',
  'address-dependent',
  'address-and-port-dependent',
  /** The first or the second of these three: a server with one address cannot tell them apart. */
  'port-independent',
  'unknown',
  /** The server's STUN could not be heard. */
  'unanswered',
] as const

const FILTERINGS = [
  'endpoint-independent',
  'address-dependent',
  'address-and-port-dependent',
  /** The first or the second of these three. */
  'port-independent',
  'unknown',
] as const

const BehaviourSchema = v.object({ mapping: v.picklist(MAPPINGS), filtering: v.picklist(FILTERINGS) })

/** null: the peer has no address of the family. */
export const NatReportSchema = v.object({ ipv4: v.nullable(BehaviourSchema), ipv6: v.nullable(BehaviourSchema) })

export type NatBehaviour = Readonly<v.InferOutput<typeof BehaviourSchema>>
export type NatReport = Readonly<v.InferOutput<typeof NatReportSchema>>
export type Family = keyof NatReport

export const FAMILIES: readonly Family[] = ['ipv4', 'ipv6']
export const UNKNOWN: NatBehaviour = { mapping: 'unknown', filtering: 'unknown' }

/** What one peer heard from one STUN server, in one address family. */
export interface Observations {
  /** Where the server sees the socket that asks it; null: no answer. */
  readonly mapped: HostPort | null
  /** It is the socket's own address. */
  readonly isOwn: boolean
  /** What else the server has: a second port at its address, or a second address as well. */
  readonly server: 'one-port' | 'two-ports' | 'two-addresses'
  /** Where the same socket is seen at the second port; at the second address; at both. null: no answer. */
  readonly atPort: HostPort | null
  readonly atAddress: HostPort | null
  readonly atBoth: HostPort | null
  /** What a socket that asked only the first port and address heard from the second port; from both second ones. */
  readonly heardPort: boolean
  readonly heardBoth: boolean
}

/** RFC 5780 sections 4.3 and 4.4, as far as the server lets them be followed. */
export function behaviourFrom(seen: Observations): NatBehaviour {
  if (seen.mapped === null) return { mapping: 'unanswered', filtering: 'unknown' }
  return { mapping: mappingFrom(seen, seen.mapped), filtering: filteringFrom(seen) }
}

function mappingFrom({ isOwn, atPort, atAddress, atBoth }: Observations, mapped: HostPort): NatBehaviour['mapping'] {
  if (isOwn) return 'none'
  if (atAddress !== null) {
    if (isSame(atAddress, mapped)) return 'endpoint-independent'
    // Without the fourth view the two kinds that are left differ in what the second port of the first address shows.
    const [one, other] = atBoth === null ? [mapped, atPort] : [atAddress, atBoth]
    if (other === null) return 'unknown'
    return isSame(one, other) ? 'address-dependent' : 'address-and-port-dependent'
  }
  if (atPort === null) return 'unknown'
  return isSame(atPort, mapped) ? 'port-independent' : 'address-and-port-dependent'
}

/** Silence tells only of a port that is known to speak. */
function filteringFrom({ server, atPort, atBoth, heardPort, heardBoth }: Observations): NatBehaviour['filtering'] {
  if (heardBoth) return 'endpoint-independent'
  if (heardPort) return server === 'two-addresses' && atBoth !== null ? 'address-dependent' : 'port-independent'
  return atPort === null ? 'unknown' : 'address-and-port-dependent'
}

const isSame = (a: HostPort, b: HostPort): boolean => a.host === b.host && a.port === b.port

/** A report as a word to pass on to the other side: "ipv4:MAPPING/FILTERING,ipv6:MAPPING/FILTERING". */
export function formatNat(report: NatReport): string {
  const parts = FAMILIES.flatMap((family) => {
    const behaviour = report[family]
    return behaviour === null ? [] : [`${family}:${behaviour.mapping}/${behaviour.filtering}`]
  })
  return parts.length === 0 ? NO_FAMILY : parts.join(',')
}

/** The inverse of {@link formatNat}; without a family, IPv4 is meant. Throws `usage`. */
export function parseNat(text: string): NatReport {
  const report: { ipv4: NatBehaviour | null; ipv6: NatBehaviour | null } = { ipv4: null, ipv6: null }
  for (const part of text === NO_FAMILY ? [] : text.split(',')) {
    const [, family = 'ipv4', mapping, filtering] = /^(?:(ipv4|ipv6):)?([a-z-]+)\/([a-z-]+)$/.exec(part) ?? []
    const parsed = v.safeParse(BehaviourSchema, { mapping, filtering })
    if (!parsed.success || report[family as Family] !== null) {
      throw new NearportError('usage', `"${text}" is not what \`nearport doctor\` prints for the other side`)
    }
    report[family as Family] = parsed.output
  }
  return report
}

const NO_FAMILY = 'offline'
