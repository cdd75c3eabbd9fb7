/** Asks a STUN server (RFC 8489) what it sees of a UDP socket, and from where it is heard. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { HostPort } from '../shared/hostport.ts'
import { LIMITS } from '../shared/limits.ts'
import { canonical } from './addresses.ts'
import { type BindingAnswer, bindingRequest, CHANGE, type Change, parseBindingAnswer } from './stun-message.ts'

export interface Heard extends BindingAnswer {
  /** Where the answer came from. */
  readonly from: HostPort
}

/** What the system says of an address family that this host has no address or route for. */
const NO_FAMILY = new Set(['ENETUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT'])

export const isNoFamily = (error: unknown): boolean =>
  NO_FAMILY.has((error as NodeJS.ErrnoException | null)?.code ?? '')

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
    // It hears nothing more: that is what is reported.
    socket.on('error', () => this.close())
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
    const { bytes, transaction: id } = bindingRequest(change)
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
    const answer = parseBindingAnswer(datagram)
    if (answer === null) return
    this.#pending.get(answer.transaction)?.({ ...answer, from: { host: canonical(address), port } })
  }
}
