/**
 * A bridge between two peers, as whoever is on their path could run one: each takes the bridge's address for the other's.
 * It hands on what comes; a man in the middle instead speaks DTLS with both.
 */
import dgram from 'node:dgram'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'
import type { Signal } from 'simple-peer'
import { DtlsConnection } from '../../peer/engines/dtls/connection.ts'
import { parseFragments } from '../../peer/engines/dtls/fragments.ts'
import { clientSteps, type Parties, serverSteps } from '../../peer/engines/dtls/handshake.ts'
import { type Role, sha256 } from '../../peer/engines/dtls/keys.ts'
import { parseCertificate, TYPE } from '../../peer/engines/dtls/messages.ts'
import { CONTENT, EPOCH_PLAIN, recordsOf } from '../../peer/engines/dtls/record.ts'
import { hostAddresses } from '../../peer/engines/ice.ts'
import type { Identity } from './dtls.ts'

export type Side = 'initiator' | 'acceptor'

const SIDES = ['initiator', 'acceptor'] as const
const other = (side: Side): Side => (side === 'initiator' ? 'acceptor' : 'initiator')

export interface Bridge {
  /** What a side's signal becomes, so that the other side takes the bridge for it. */
  carry(signal: Signal, from: Side): Signal
  /** datagrams of DTLS from each side */
  readonly datagrams: Record<Side, number>
  readonly middle: ManInTheMiddle | null
  close(): void
}

/** `mallory`: who plays the man in the middle; null hands on everything. */
export async function bridge(mallory: Identity | null): Promise<Bridge> {
  const near = hostAddresses().find(isIPv4) ?? '127.0.0.1'
  const sockets = { initiator: await udp(near), acceptor: await udp(near) }
  const datagrams = { initiator: 0, acceptor: 0 }
  /** Where each side is: its first candidate, until it has sent something. */
  const where: Partial<Record<Side, { readonly port: number; readonly address: string }>> = {}
  const send = (to: Side, datagram: Buffer): void => {
    const place = where[to]
    if (place !== undefined) sockets[to].send(datagram, place.port, place.address)
  }
  const middle = mallory && new ManInTheMiddle(mallory, send)
  for (const side of SIDES) {
    sockets[side].on('message', (datagram, from) => {
      where[side] = from
      const isDtls = (datagram[0] ?? 0) >= CONTENT.changeCipherSpec && (datagram[0] ?? 0) < 64
      if (isDtls) datagrams[side]++
      if (isDtls && middle !== null) middle.receive(side, datagram)
      else send(other(side), datagram)
    })
  }
  const moved = (candidate: string, from: Side): string => {
    const parts = candidate.split(' ')
    const [address = '', port] = parts.slice(4)
    if (isIPv4(address)) where[from] ??= { address, port: Number(port) }
    // The socket that faces the other side
    parts.splice(4, 2, near, String(sockets[other(from)].address().port))
    return parts.join(' ')
  }
  return {
    carry: (signal, from) => {
      if ('sdp' in signal)
        return { ...signal, sdp: signal.sdp.replace(/(?<=^a=)candidate:.*$/gm, (line) => moved(line, from)) }
      if (!('candidate' in signal)) return signal
      return { ...signal, candidate: { ...signal.candidate, candidate: moved(signal.candidate.candidate, from) } }
    },
    datagrams,
    middle,
    close: () => {
      middle?.close()
      for (const side of SIDES) sockets[side].close()
    },
  }
}

async function udp(address: string): Promise<dgram.Socket> {
  const socket = dgram.createSocket('udp4').bind(0, address)
  await once(socket, 'listening')
  return socket
}

/**
 * Shows each side the certificate of the other, which travels in clear, signs with a key of his own, and hands on what he
 * could read. What needs a certificate that he has not seen yet waits.
 */
export class ManInTheMiddle {
  /** What became of his handshakes: connected, or why not. */
  readonly events: string[] = []
  readonly read: string[] = []
  readonly #mallory: Identity
  readonly #send: (to: Side, datagram: Buffer) => void
  readonly #certificates: Record<Side, Buffer | null> = { initiator: null, acceptor: null }
  readonly #waiting: Record<Side, Buffer[]> = { initiator: [], acceptor: [] }
  readonly #legs: Partial<Record<Side, DtlsConnection>> = {}
  #greeter: Side | null = null

  constructor(mallory: Identity, send: (to: Side, datagram: Buffer) => void) {
    this.#mallory = mallory
    this.#send = send
  }

  receive(side: Side, datagram: Buffer): void {
    this.#greeter ??= side
    const far = other(this.#greeter)
    this.#legs[far] ??= this.#leg('client', far)
    this.#certificates[side] ??= certificateIn(datagram)
    this.#waiting[side].push(datagram)
    if (this.#certificates[far] !== null) this.#legs[this.#greeter] ??= this.#leg('server', this.#greeter)
    if (this.#legs[this.#greeter] !== undefined) this.#deliver(this.#greeter)
    if (this.#certificates[this.#greeter] !== null) this.#deliver(far)
  }

  close(): void {
    for (const leg of Object.values(this.#legs)) leg.close()
  }

  #deliver(side: Side): void {
    for (const datagram of this.#waiting[side].splice(0)) this.#legs[side]?.receive(datagram)
  }

  #leg(role: Role, towards: Side): DtlsConnection {
    const certificates = this.#certificates
    const shown = (side: Side): Buffer => certificates[side] ?? this.#mallory.certificate
    const parties: Parties = {
      key: this.#mallory.key,
      // Read when they are needed, which is when they are known.
      get certificate() {
        return shown(other(towards))
      },
      get expected() {
        return sha256(shown(towards))
      },
    }
    const leg = new DtlsConnection({
      role,
      ...this.#mallory,
      expected: Buffer.alloc(32),
      steps: (_parties, flow) => (role === 'client' ? clientSteps : serverSteps)(parties, flow),
      send: (datagram) => this.#send(towards, datagram),
      onconnect: () => this.events.push(`connected as the ${role}`),
      ondata: (data) => {
        this.read.push(data.toString('latin1'))
        this.#legs[other(towards)]?.send(data)
      },
      onclose: (error) => this.events.push(error?.message ?? 'closed'),
    })
    leg.start()
    return leg
  }
}

function certificateIn(datagram: Buffer): Buffer | null {
  for (const { type, epoch, body } of recordsOf(datagram)) {
    if (type !== CONTENT.handshake || epoch !== EPOCH_PLAIN) continue
    for (const fragment of parseFragments(body))
      if (fragment.type === TYPE.certificate) return parseCertificate(fragment.piece)
  }
  return null
}
