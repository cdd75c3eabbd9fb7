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
  /** What came before the connection was there: the other side may see first that there is a path, and begins. */
  readonly #early: Buffer[] = []

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
    transport.iceTransport.connection.onData.subscribe((datagram) => {
      if (this.#connection !== null) this.#connection.receive(datagram)
      else if (this.#early.length < LIMITS.earlyDatagrams) this.#early.push(datagram)
    })
    transport.onStateChange.subscribe((state) => {
      if (state === 'closed' || state === 'failed') this.#connection?.close()
    })
  }

  /** Keying material that only the two ends of this connection have (RFC 5705); null before they are connected. */
  exportKeyingMaterial(label: string, length: number): Buffer | null {
    const isConnected = this.#connection !== null && this.#transport.state === 'connected'
    return isConnected ? (this.#connection?.exportKeyingMaterial(label, length) ?? null) : null
  }

  /** Rejects, and the transport has failed, when the other side cannot be authenticated. */
  async #start(): Promise<void> {
    const transport = this.#transport
    // It may have been closed while ICE looked for the path.
    if (transport.state !== 'new') throw new DtlsError(`the transport is ${transport.state}`)
    transport.setState('connecting')
    try {
      await this.#connect()
    } catch (error) {
      transport.setState('failed')
      throw error
    }
  }

  #connect(): Promise<void> {
    const transport = this.#transport
    const parties = this.#parties()
    const { role } = transport
    // An answer says which of the two is which.
    if (role !== 'client' && role !== 'server') throw new DtlsError('the descriptions settle no DTLS role')
    return new Promise((resolve, reject) => {
      const connection = new DtlsConnection({
        role,
        ...parties,
        ...this.#overrides,
        send: (datagram) => {
          transport.iceTransport.connection.send(datagram).catch((error: unknown) => {
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
          if (transport.state === 'connected') transport.setState('closed')
          else reject(error ?? new DtlsError('the other side ended the handshake'))
        },
      })
      this.#connection = connection
      connection.start()
      for (const datagram of this.#early.splice(0)) connection.receive(datagram)
    })
  }

  #parties(): Pick<DtlsOptions, 'certificate' | 'key' | 'expected'> {
    const { localCertificate, remoteParameters } = this.#transport
    if (localCertificate === undefined) throw new DtlsError('there is no certificate')
    const announced = (remoteParameters?.fingerprints ?? []).filter(({ algorithm }) => /^sha-256$/i.test(algorithm))
    const [only, ...others] = announced
    const expected = Buffer.from((only?.value ?? '').replaceAll(':', ''), 'hex')
    if (others.length > 0 || expected.length !== 32)
      throw new DtlsError('the other side must announce exactly one SHA-256 fingerprint')
    return {
      certificate: new X509Certificate(localCertificate.certPem).raw,
      key: createPrivateKey(localCertificate.privateKey),
      expected,
    }
  }
}
