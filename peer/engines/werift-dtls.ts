/** Puts nearport's DTLS in the place of werift's, which does not verify who is at the other end (docs/adr/0008-dtls-of-our-own.md). */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { RTCDtlsTransport } from 'werift'
import { asNearportError } from '../../shared/errors.ts'
import { LIMITS } from '../../shared/limits.ts'
import type { Log } from '../../shared/log.ts'
import { DtlsConnection, type DtlsOptions } from './dtls/connection.ts'
import { DtlsError } from './dtls/wire.ts'
import { requireMembers } from './werift-members.ts'

/** What of werift's transport its types keep private, too. */
interface Transport {
  readonly state: string
  role: string
  readonly iceTransport: {
    readonly role: string
    readonly connection: { onData: Subject<Buffer>; send: (datagram: Buffer) => Promise<void> }
  }
  readonly localCertificate?: { readonly certPem: string; readonly privateKey: string }
  readonly remoteParameters?: {
    readonly fingerprints: readonly { readonly algorithm: string; readonly value: string }[]
  }
  readonly onStateChange: Subject<string>
  /** Where SCTP takes what comes; not there any more when that has ended. */
  readonly dataReceiver?: (data: Buffer) => void
  start: () => Promise<void>
  sendData: (data: Buffer) => Promise<void>
  setState: (state: string) => void
}

interface Subject<T> {
  subscribe: (listener: (value: T) => void) => void
}

/** What an attacker in a test does otherwise; nobody else sets it. */
export type DtlsOverrides = Partial<Pick<DtlsOptions, 'certificate' | 'key' | 'expected' | 'steps'>>

export class WeriftDtls {
  readonly #transport: Transport
  readonly #log: Log
  readonly #overrides: DtlsOverrides
  #connection: DtlsConnection | null = null

  /** To be made on a transport once, before it starts. Throws `engine-missing` where werift is another than expected. */
  constructor(weriftTransport: RTCDtlsTransport, log: Log, overrides: DtlsOverrides = {}) {
    const transport = weriftTransport as unknown as Transport
    this.#transport = transport
    this.#log = log
    this.#overrides = overrides
    requireMembers('a DTLS transport', transport, ['start', 'sendData', 'dataReceiver', 'setState', 'onStateChange'])
    requireMembers('an ICE agent', transport.iceTransport.connection, ['onData', 'send'])
    transport.start = () => this.#start()
    transport.sendData = async (data) => this.#connection?.send(data)
    this.#receiveFromPath()
  }

  /** Keying material that only the two ends of this connection have (RFC 5705); null before they are connected. */
  exportKeyingMaterial(label: string, length: number): Buffer | null {
    const isConnected = this.#connection !== null && this.#transport.state === 'connected'
    return isConnected ? (this.#connection?.exportKeyingMaterial(label, length) ?? null) : null
  }

  /** The other side may see first that there is a path, and greets; it would do so again only some time later. */
  #receiveFromPath(): void {
    const early: Buffer[] = []
    this.#transport.iceTransport.connection.onData.subscribe((datagram) => {
      if (this.#connection !== null) this.#connection.receive(datagram)
      else if (early.length < LIMITS.earlyDatagrams) early.push(datagram)
    })
    this.#transport.onStateChange.subscribe((state) => {
      if (state === 'connecting') for (const datagram of early.splice(0)) this.#connection?.receive(datagram)
      if (state === 'closed' || state === 'failed') this.#connection?.close()
    })
  }

  /** Rejects, and the transport has failed, when the other side cannot be authenticated. */
  #start(): Promise<void> {
    const transport = this.#transport
    const { connection: path, role: iceRole } = transport.iceTransport
    // It may have been closed while ICE looked for the path.
    if (transport.state !== 'new') return Promise.reject(new DtlsError(`the transport is ${transport.state}`))
    if (transport.role === 'auto') transport.role = iceRole === 'controlling' ? 'server' : 'client'
    return new Promise((resolve, reject) => {
      const connection = new DtlsConnection({
        role: transport.role === 'server' ? 'server' : 'client',
        ...this.#parties(),
        ...this.#overrides,
        send: (datagram) => {
          path.send(datagram).catch((error: unknown) => {
            // SCTP sends again what was lost, whatever lost it.
            this.#log.debug({ reason: asNearportError(error).message }, 'werift cannot send a datagram')
          })
        },
        onconnect: () => {
          transport.setState('connected')
          resolve()
        },
        ondata: (data) => transport.dataReceiver?.(data),
        onclose: (error) => {
          if (error !== null) this.#log.warn({ err: error }, 'DTLS has ended the connection')
          const wasConnected = transport.state === 'connected'
          transport.setState(wasConnected ? 'closed' : 'failed')
          if (!wasConnected) reject(error ?? new DtlsError('the other side ended the handshake'))
        },
      })
      this.#connection = connection
      connection.start()
      transport.setState('connecting')
    })
  }

  #parties(): Pick<DtlsOptions, 'certificate' | 'key' | 'expected'> {
    const { localCertificate, remoteParameters } = this.#transport
    if (localCertificate === undefined) throw new DtlsError('there is no certificate')
    const announced = (remoteParameters?.fingerprints ?? []).filter(({ algorithm }) => /^sha-256$/i.test(algorithm))
    const [only, ...others] = announced
    const expected = Buffer.from((only?.value ?? '').replaceAll(':', ''), 'hex')
    if (others.length > 0 || expected.length !== 32) throw new DtlsError('the other side announced no one certificate')
    return {
      certificate: new X509Certificate(localCertificate.certPem).raw,
      key: createPrivateKey(localCertificate.privateKey),
      expected,
    }
  }
}
