/** Answers STUN binding requests (RFC 8489), so that a network depends on nobody else's STUN server. */
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

export interface StunServer {
  readonly port: number
  /** Datagrams that were no binding request. */
  readonly dropped: number
  close(): Promise<void>
}

/** Listens on UDP; port 0 takes a free one. Throws `listen-failed`. */
export async function startStun(host: string, port: number, log: Log): Promise<StunServer> {
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
  let dropped = 0
  socket.on('error', (error) => log.error({ err: error }, 'the STUN socket failed'))
  socket.on('message', (datagram, from) => {
    const answer = answerTo(datagram, from)
    if (answer === null) dropped++
    else send(socket, answer, from, log)
  })
  return {
    port: socket.address().port,
    get dropped() {
      return dropped
    },
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  }
}

/** The answer to a datagram; null for what is no binding request, which is not worth one. */
export function answerTo(datagram: Buffer, from: Pick<RemoteInfo, 'address' | 'port'>): Buffer | null {
  if (datagram.length > LONGEST_REQUEST) return null
  const request = parseMessage(datagram)
  if (request?.messageMethod !== methods.BINDING || request.messageClass !== classes.REQUEST) return null
  const unknown = request.unknownAttributeTypes.filter(isComprehensionRequiredAttribute)
  if (unknown.length > 0) {
    return new Message(methods.BINDING, classes.ERROR, request.transactionId)
      .setAttribute('ERROR-CODE', [UNKNOWN_ATTRIBUTE, ''])
      .setAttribute('UNKNOWN-ATTRIBUTES', unknown).bytes
  }
  return new Message(methods.BINDING, classes.RESPONSE, request.transactionId).setAttribute('XOR-MAPPED-ADDRESS', [
    unmapped(from.address),
    from.port,
  ]).bytes
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
