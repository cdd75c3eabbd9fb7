/** Asks a STUN server (RFC 8489) what it sees of a UDP socket, and from where it is heard. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import * as v from 'valibot'
import { classes, Message, methods, parseMessage } from 'werift'
import type { HostPort } from '../shared/hostport.ts'
import { LIMITS } from '../shared/limits.ts'

/** The flags of CHANGE-REQUEST: from where the server is to answer. */
export const CHANGE = { nothing: 0, port: 2, both: 6 } as const
export type Change = (typeof CHANGE)[keyof typeof CHANGE]

export interface Heard {
  /** Where the server sees this socket. */
  readonly mapped: HostPort
  /** Where the answer came from. */
  readonly from: HostPort
  /** The server's other address and port; its host is 0.0.0.0 or :: when it has another port only. */
  readonly other: HostPort | null
}

/** What the system says of an address family that this host has no address or route for. */
const NO_FAMILY = new Set(['ENETUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT'])

export const isNoFamily = (error: unknown): boolean =>
  NO_FAMILY.has((error as NodeJS.ErrnoException | null)?.code ?? '')

/** A server answers in full only to a request that is no shorter than its answer, and the longest has 92 bytes. */
const FILLING = ' '.repeat(60)

const Address = v.pipe(
  v.tuple([v.string(), v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))]),
  v.transform(([host, port]): HostPort => ({ host: canonical(host), port })),
)

export class StunSocket {
  readonly port: number
  readonly #socket: Socket
  /** By transaction id, in hexadecimal. */
  readonly #pending = new Map<string, (heard: Heard | null) => void>()

  #closed = false

  private constructor(socket: Socket) {
    this.#socket = socket
    this.port = socket.address().port
    socket.on('message', (datagram, from) => this.#receive(datagram, from))
  }

  /** Rejects where the system has no such family. */
  static async open(family: 'ipv4' | 'ipv6'): Promise<StunSocket> {
    const socket = createSocket(family === 'ipv4' ? { type: 'udp4' } : { type: 'udp6', ipv6Only: true })
    try {
      socket.bind(0)
      await once(socket, 'listening')
    } catch (error) {
      socket.close()
      throw error
    }
    return new StunSocket(socket)
  }

  /** Resolves with the answer; null if none came in time. Rejects where the system has no way to the family at all. */
  ask(server: HostPort, change: Change = CHANGE.nothing): Promise<Heard | null> {
    if (this.#closed) return Promise.resolve(null)
    const request = new Message(methods.BINDING, classes.REQUEST)
      .setAttribute('CHANGE-REQUEST', change)
      .setAttribute('SOFTWARE', FILLING)
    const { bytes, transactionIdHex: id } = request
    return new Promise((resolve, reject) => {
      let wait: number = LIMITS.stunRetransmit
      let timer: ReturnType<typeof setTimeout>
      const end = () => {
        this.#pending.delete(id)
        clearTimeout(deadline)
        clearTimeout(timer)
      }
      const send = () => {
        this.#socket.send(bytes, server.port, server.host, (error) => {
          // Other errors are those of a firewall here: silence, as from one on the way.
          if (!isNoFamily(error) || !this.#pending.has(id)) return
          end()
          reject(error)
        })
        timer = setTimeout(send, wait)
        wait *= 2
      }
      this.#pending.set(id, (heard) => {
        end()
        resolve(heard)
      })
      const deadline = setTimeout(() => this.#pending.get(id)?.(null), LIMITS.stunDeadline)
      send()
    })
  }

  /** What is still asked gets no answer. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const settle of [...this.#pending.values()]) settle(null)
    this.#socket.close()
  }

  #receive(datagram: Buffer, { address, port }: RemoteInfo): void {
    const message = parseMessage(datagram)
    if (message?.messageMethod !== methods.BINDING || message.messageClass !== classes.RESPONSE) return
    const mapped = v.safeParse(Address, message.getAttributeValue('XOR-MAPPED-ADDRESS'))
    const other = v.safeParse(Address, message.getAttributeValue('OTHER-ADDRESS'))
    if (!mapped.success) return
    const from = { host: canonical(address), port }
    this.#pending.get(message.transactionIdHex)?.({
      mapped: mapped.output,
      from,
      other: other.success ? other.output : null,
    })
  }
}

/** One spelling for each address, as they are compared: werift writes IPv6 in full. */
export function canonical(address: string): string {
  const zoneless = address.replace(/%.*$/, '')
  return isIPv6(zoneless) ? new URL(`http://[${zoneless}]`).hostname.slice(1, -1) : zoneless
}
