/**
 * Answers STUN binding requests (RFC 8489), so that a network depends on nobody else's STUN server, and tells a NAT's
 * behaviour by answering from another port, or address, than it was asked at (RFC 5780).
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import { classes, isComprehensionRequiredAttribute, Message, methods, parseMessage } from 'werift'
import { NearportError } from '../shared/errors.ts'
import { formatHostPort } from '../shared/hostport.ts'
import type { Log } from '../shared/log.ts'

/** RFC 8489 section 14.8. */
const UNKNOWN_ATTRIBUTE = 420
/** bytes. RFC 8489 section 6.1: a request that crosses IPv6 unfragmented; what ICE agents send is far smaller. */
const LONGEST_REQUEST = 1280
/** RFC 5780 section 7.2: the attribute, and its two flags. */
const CHANGE_REQUEST = 3
const CHANGE_ADDRESS = 4
const CHANGE_PORT = 2

export interface StunOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** The second port, without which nothing is told about NATs; 0 takes a free one. */
  readonly alternatePort: number | null
  /** A second address of this host, with the same two ports. */
  readonly alternateAddress: string | null
  readonly log: Log
}

export interface StunServer {
  readonly port: number
  readonly alternatePort: number | null
  /** Datagrams that were no binding request. */
  readonly dropped: number
  close(): Promise<void>
}

/** Where an answer comes from. */
export interface StunOrigin {
  /** As it was bound: 0.0.0.0 or :: stands for the address that was asked. */
  readonly address: string
  readonly port: number
}

/** The socket at the other address, the other port, or both; null if there is none. */
export type Others<O extends StunOrigin> = (otherAddress: boolean, otherPort: boolean) => O | null

interface Bound extends StunOrigin {
  readonly socket: Socket
}

/** Listens on UDP. Throws `listen-failed`. */
export async function startStun(options: StunOptions): Promise<StunServer> {
  const { host, port, alternatePort, alternateAddress, log } = options
  const bound: Bound[] = []
  const close = async () => {
    await Promise.all(bound.map(({ socket }) => new Promise<void>((resolve) => socket.close(() => resolve()))))
  }
  const open = async (address: string, at: number): Promise<Bound> => {
    const opened = await bind(address, at)
    bound.push(opened)
    return opened
  }
  try {
    const first = await open(host, port)
    const second = alternatePort === null ? null : await open(host, alternatePort)
    const grid = [[first, second] as const]
    if (alternateAddress !== null && second !== null) {
      grid.push([await open(alternateAddress, first.port), await open(alternateAddress, second.port)])
    }
    let dropped = 0
    for (const [row, sockets] of grid.entries()) {
      for (const [column, at] of sockets.entries()) {
        const others: Others<Bound> = (otherAddress, otherPort) =>
          grid[otherAddress ? 1 - row : row]?.[otherPort ? 1 - column : column] ?? null
        at?.socket.on('error', (error) => log.error({ err: error }, 'a STUN socket failed'))
        at?.socket.on('message', (datagram, from) => {
          const answer = answerTo(datagram, from, others)
          if (answer === null) dropped++
          else send(answer.origin.socket, answer.bytes, from, log)
        })
      }
    }
    return {
      port: first.port,
      alternatePort: second?.port ?? null,
      get dropped() {
        return dropped
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function bind(host: string, port: number): Promise<Bound> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  try {
    socket.bind({ address: host, port, exclusive: true })
    await once(socket, 'listening')
  } catch (error) {
    socket.close()
    const reason = error instanceof Error ? error.message : String(error)
    const at = formatHostPort({ host, port })
    throw new NearportError('listen-failed', `cannot answer STUN at UDP ${at}: ${reason}`, { cause: error })
  }
  const { address, port: taken } = socket.address()
  return { socket, address, port: taken }
}

/** The answer to a datagram, and what sends it; null for what is no binding request, which is not worth one. */
export function answerTo<O extends StunOrigin>(
  datagram: Buffer,
  from: Pick<RemoteInfo, 'address' | 'port'>,
  others: Others<O>,
): { readonly bytes: Buffer; readonly origin: O } | null {
  if (datagram.length > LONGEST_REQUEST) return null
  const request = parseMessage(datagram)
  const asked = others(false, false)
  if (request?.messageMethod !== methods.BINDING || request.messageClass !== classes.REQUEST || asked === null) {
    return null
  }
  const change = Number(request.getAttributeValue('CHANGE-REQUEST') ?? 0)
  const origin = others((change & CHANGE_ADDRESS) !== 0, (change & CHANGE_PORT) !== 0)
  const unknown = request.unknownAttributeTypes.filter(isComprehensionRequiredAttribute)
  if (origin === null) unknown.push(CHANGE_REQUEST)
  if (unknown.length > 0 || origin === null) {
    const refusal = new Message(methods.BINDING, classes.ERROR, request.transactionId)
      .setAttribute('ERROR-CODE', [UNKNOWN_ATTRIBUTE, ''])
      .setAttribute('UNKNOWN-ATTRIBUTES', unknown)
    return { bytes: refusal.bytes, origin: asked }
  }
  const answer = () =>
    new Message(methods.BINDING, classes.RESPONSE, request.transactionId).setAttribute('XOR-MAPPED-ADDRESS', [
      unmapped(from.address),
      from.port,
    ])
  // Whoever forges the address of a victim must gain nothing: what makes an answer long is for long requests.
  const full = describe(answer(), origin, others).bytes
  return { bytes: full.length <= datagram.length ? full : answer().bytes, origin }
}

/** Adds where an answer comes from, and where else it could. */
function describe(answer: Message, origin: StunOrigin, others: Others<StunOrigin>): Message {
  answer.setAttribute('RESPONSE-ORIGIN', [origin.address, origin.port])
  const both = others(true, true)
  const port = others(false, true)
  if (both !== null) answer.setAttribute('OTHER-ADDRESS', [both.address, both.port])
  // RFC 5780 knows no server with one address. The unspecified one cannot be taken for a second.
  else if (port !== null) answer.setAttribute('OTHER-ADDRESS', [isIPv6(port.address) ? '::' : '0.0.0.0', port.port])
  return answer
}

/** A dual-stack socket shows IPv4 as ::ffff:a.b.c.d; the peer must learn the address it has on the IPv4 network. */
function unmapped(address: string): string {
  const zoneless = address.replace(/%.*$/, '')
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(zoneless)?.[1] ?? zoneless
}

function send(socket: Socket, answer: Buffer, to: RemoteInfo, log: Log): void {
  // A spoofed source can be an address nothing can be sent to; the next datagram must be served all the same.
  socket.send(answer, to.port, to.address, (error) => {
    if (error !== null) log.debug({ err: error }, 'could not send a STUN answer')
  })
}
