/** Who may send to a connection of werift: whoever knows the password of its ICE agent, and nobody else. */
import { isStunMessage, parseMessage, type RTCIceTransport } from 'werift'
import { requireMembers } from './werift-members.ts'

type Address = readonly [host: string, port: number]

/** What receives at one address. */
interface Protocol {
  datagramReceived: (datagram: Buffer, from: Address) => void
}

interface Pair {
  readonly protocol: Protocol
  readonly remoteAddr: Address
}

interface Agent {
  readonly localPassword: string
  readonly checkList: readonly Pair[]
  readonly nominated?: Pair
  ensureProtocol: (protocol: Protocol) => void
}

/** The bits of a STUN message's type that are 0 in requests and indications (RFC 8489 section 5). */
const RESPONSE = 0x0100

/**
 * werift obeys a check of anybody (it sends packets to where that comes from, remembers the address, and changes roles), and
 * takes data from anywhere. Here a check counts only with the agent's password (RFC 8445 section 7.3), and data only from the
 * addresses of candidates: those of the sealed description, and those of checks that counted. To be called on a transport
 * once, before it gathers.
 */
export function guardPath({ connection }: RTCIceTransport): void {
  const agent = connection as unknown as Agent
  requireMembers('an ICE agent', agent, ['localPassword', 'checkList', 'ensureProtocol'])
  const { ensureProtocol } = agent
  agent.ensureProtocol = (protocol) => {
    requireMembers('a path', protocol, ['datagramReceived'])
    const { datagramReceived } = protocol
    protocol.datagramReceived = (datagram, from) => {
      const counts = isStunMessage(datagram) ? isAuthentic(agent, datagram) : isFromPeer(agent, protocol, from)
      if (counts) datagramReceived.call(protocol, datagram, from)
    }
    ensureProtocol.call(agent, protocol)
  }
}

/** werift itself verifies responses, and takes them only for what it asked. */
function isAuthentic({ localPassword }: Agent, message: Buffer): boolean {
  const isResponse = (message.readUInt16BE(0) & RESPONSE) !== 0
  return isResponse || parseMessage(message, Buffer.from(localPassword, 'utf8')) !== undefined
}

function isFromPeer({ nominated, checkList }: Agent, protocol: Protocol, [host, port]: Address): boolean {
  const isEnd = (pair: Pair): boolean =>
    pair.protocol === protocol && pair.remoteAddr[0] === host && pair.remoteAddr[1] === port
  return (nominated !== undefined && isEnd(nominated)) || checkList.some(isEnd)
}
