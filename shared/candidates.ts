/** ICE candidates (RFC 8839 section 5.1): how they are read and written, and which of the other side's are tried. */
import { type Address, isIPv6, parseAddress } from './ip.ts'
import { LIMITS } from './limits.ts'

/** A candidate that may be of use: over UDP, at an IP address, and no relay. */
export interface Candidate {
  readonly foundation: string
  readonly priority: number
  readonly address: Address
  readonly port: number
  readonly type: 'host' | 'srflx'
}

/** Which of the addresses that mean something else on every host lead to other peers from this one. */
export interface LocalReach {
  /** This host has no network, so that every peer it can talk to is on it. */
  readonly loopback: boolean
  /** This host has an IPv4 link-local address (RFC 3927). */
  readonly linkLocal: boolean
}

/** Ports below belong to services; what a NAT gives may lie there. */
const SERVICE_PORTS = 1024
const PRIORITY_MOST = 2 ** 31 - 1
/** No extension is read: what is to be known of a candidate stands before them. */
const CANDIDATE =
  /^candidate:([A-Za-z0-9+/]{1,32}) 1 udp (\d{1,10}) ([0-9A-Fa-f:.]{2,45}) (\d{1,5}) typ (host|srflx)(?: [\x20-\x7e]*)?$/i

/**
 * Null for whatever is no {@link Candidate}: TCP, TURN (no byte of a job passes a relay), prflx (which nobody sends),
 * and names. A `.local` name (RFC 8828) is none either: to resolve it we would have to multicast, and the browser that
 * hides behind it finds us by itself.
 */
export function parseCandidate(text: string): Candidate | null {
  const [, foundation = '', priorityText, addressText = '', portText, type = ''] = CANDIDATE.exec(text) ?? []
  const [priority, port, address] = [Number(priorityText), Number(portText), parseAddress(addressText)]
  const isSound = priority >= 1 && priority <= PRIORITY_MOST && port >= 1 && port <= 65_535
  if (address === null || !isSound) return null
  return { foundation, priority, address, port, type: type.toLowerCase() as Candidate['type'] }
}

/** What stands behind "a=". The address behind a NAT stays untold (RFC 8839 section 5.1: `raddr`). */
export function formatCandidate({ foundation, priority, address, port, type }: Candidate): string {
  const related = type === 'host' ? '' : ` raddr ${isIPv6(address) ? '::' : '0.0.0.0'} rport 9`
  return `candidate:${foundation} 1 udp ${priority} ${address.text} ${port} typ ${type}${related}`
}

/**
 * The candidates of the other side in one negotiation. To try one is to send packets to where a stranger says, from
 * inside this network: it has to be a place where a peer can be.
 */
export class RemoteCandidates {
  readonly #reach: LocalReach
  readonly #admitted = new Set<string>()

  constructor(reach: LocalReach) {
    this.#reach = reach
  }

  /** A candidate as it is to be tried, in our own words; null for one that is not. */
  admit(text: string): string | null {
    const candidate = parseCandidate(text)
    if (candidate === null || !isPlausible(this.#reach, candidate)) return null
    const place = `${candidate.address.text} ${candidate.port}`
    if (this.#admitted.has(place) || this.#admitted.size >= LIMITS.candidatesPerLink) return null
    this.#admitted.add(place)
    return formatCandidate(candidate)
  }
}

/** Whether a peer can be at an address, as it is seen from this host. */
export function isPlausible(
  { loopback, linkLocal }: LocalReach,
  { address, port, type }: Pick<Candidate, 'address' | 'port' | 'type'>,
): boolean {
  if (address.reach === 'public') return port >= SERVICE_PORTS || type === 'srflx'
  if (port < SERVICE_PORTS || address.reach === 'never') return false
  if (address.reach === 'loopback') return loopback
  return address.reach === 'private' || linkLocal
}
