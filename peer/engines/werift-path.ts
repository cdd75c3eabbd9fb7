/** Who may send to a connection of werift: whoever knows the password of its ICE agent, and nobody else. */
import { isStunMessage, parseMessage, type RTCIceTransport } from 'werift'
import { isPlausible } from '../../shared/candidates.ts'
import { parseAddress } from '../../shared/ip.ts'
import { LIMITS } from '../../shared/limits.ts'
import { localReach } from './ice.ts'
import { requireMembers } from './werift-members.ts'

type Address = readonly [host: string, port: number]

/** What receives at one address. */
interface Protocol {
  datagramReceived: (datagram: Buffer, from: Address) => void
}

interface Agent {
  readonly localPassword: string
  readonly remoteCandidates: readonly { readonly host: string; readonly port: number }[]
  readonly checkList: readonly { readonly protocol: Protocol; readonly remoteAddr: Address }[]
  /** Checks that came before the other side's description. */
  readonly earlyChecks: readonly unknown[]
  /** The pair that was chosen. */
  readonly nominated?: object
  ensureProtocol: (protocol: Protocol) => void
  switchRole: (controlling: boolean) => void
}

const REPLACED = ['localPassword', 'remoteCandidates', 'checkList', 'earlyChecks', 'ensureProtocol', 'switchRole']

const HEADER_BYTES = 20
/** The class of a STUN message, in its type (RFC 8489 section 5); all its bits are 0 in a request. */
const CLASS = 0x0110
/** The class of an indication, which asks for nothing. */
const INDICATION = 0x0010
const MESSAGE_INTEGRITY = 0x0008
const FINGERPRINT = 0x8028

/**
 * werift obeys a check of anybody (it sends packets to where that comes from, remembers the address, and changes roles), and
 * takes data from anywhere. Here a check counts only with the agent's password (RFC 8445 section 7.3) and from a place
 * where a peer can be, and data only from the addresses of candidates: those of the sealed description, and those of
 * checks that counted. To be called on a transport once, before it gathers.
 */
export function guardPath({ connection }: RTCIceTransport): void {
  const agent = connection as unknown as Agent
  requireMembers('an ICE agent', agent, REPLACED)
  // Who makes the offer controls, and both sides know it: a conflict can only be made up.
  agent.switchRole = () => undefined
  const learned = new Set<string>()
  const { ensureProtocol } = agent
  agent.ensureProtocol = (protocol) => {
    requireMembers('a path', protocol, ['datagramReceived'])
    const { datagramReceived } = protocol
    protocol.datagramReceived = (datagram, from) => {
      const counts = isStunMessage(datagram)
        ? isFromPeer(agent, learned, datagram, from)
        : isFromCandidate(agent, protocol, from)
      if (counts) datagramReceived.call(protocol, datagram, from)
    }
    ensureProtocol.call(agent, protocol)
  }
}

/** Whether a STUN message counts. werift itself verifies responses, and takes them only for what it asked. */
function isFromPeer(agent: Agent, learned: Set<string>, message: Buffer, from: Address): boolean {
  const kind = message.readUInt16BE(0) & CLASS
  if (kind === INDICATION || !isSound(message)) return false
  if (kind !== 0) return parseMessage(message) !== undefined
  if (parseMessage(message, Buffer.from(agent.localPassword, 'utf8')) === undefined) return false
  return agent.earlyChecks.length < LIMITS.candidatesPerLink && isExpected(agent, learned, from)
}

/** Whether checks from there count: each new address is remembered, and checked in its turn. */
function isExpected(agent: Agent, learned: Set<string>, [host, port]: Address): boolean {
  const place = `${host} ${port}`
  if (learned.has(place) || agent.remoteCandidates.some((known) => known.host === host && known.port === port))
    return true
  const address = parseAddress(host)
  if (agent.nominated !== undefined || learned.size >= LIMITS.candidatesPerLink || address === null) return false
  // It is behind a NAT that its description could not name, or forged by who knows the password.
  if (!isPlausible(localReach(), { address, port, type: 'srflx' })) return false
  learned.add(place)
  return true
}

/**
 * Whether a message is whole, has each attribute once, and nothing behind its MESSAGE-INTEGRITY but a FINGERPRINT: what
 * follows is not covered, and werift would read it. It also sums up all before each FINGERPRINT, so that a long message full
 * of them held the process up for seconds.
 */
function isSound(message: Buffer): boolean {
  if (message.length > LIMITS.stunMessageBytes || message.length !== HEADER_BYTES + message.readUInt16BE(2))
    return false
  const seen = new Set<number>()
  let last = 0
  let at = HEADER_BYTES
  while (at + 4 <= message.length) {
    const [type, length] = [message.readUInt16BE(at), message.readUInt16BE(at + 2)]
    const isBehind = last === FINGERPRINT || (last === MESSAGE_INTEGRITY && type !== FINGERPRINT)
    if (isBehind || seen.has(type)) return false
    seen.add(type)
    last = type
    at += 4 + 4 * Math.ceil(length / 4)
  }
  return at === message.length
}

function isFromCandidate({ checkList }: Agent, protocol: Protocol, [host, port]: Address): boolean {
  return checkList.some(
    ({ protocol: near, remoteAddr }) => near === protocol && remoteAddr[0] === host && remoteAddr[1] === port,
  )
}
