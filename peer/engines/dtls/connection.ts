/** One end of a DTLS 1.2 connection: records in and out, flights that are repeated until they are answered, and its end. */
import { LIMITS } from '../../../shared/limits.ts'
import { type Fragment, fragmentsOf, parseFragments, Reassembly } from './fragments.ts'
import {
  clientSteps,
  type Exporter,
  type Flow,
  type Numbered,
  type Parties,
  type Steps,
  serverSteps,
} from './handshake.ts'
import type { Role } from './keys.ts'
import { TYPE } from './messages.ts'
import { Opening, Sealing } from './protection.ts'
import { CONTENT, type DtlsRecord, EPOCH_ENCRYPTED, EPOCH_PLAIN, recordHeader, recordsOf } from './record.ts'
import { DtlsError } from './wire.ts'

/** bytes of a datagram of the handshake: passes every path, as 1,280 is the least of IPv6. */
const DATAGRAM_BYTES = 1200

/** RFC 5246 section 7.2 */
const ALERT_BYTES = 2
const ALERT_FATAL = 2
const CLOSE_NOTIFY = 0

interface FlightRecord {
  readonly type: number
  readonly encrypted: boolean
  readonly content: Buffer
}

export interface DtlsOptions extends Parties {
  readonly role: Role
  /** Sends a datagram; it may be lost. */
  readonly send: (datagram: Buffer) => void
  /** The other side holds the key of the certificate it announced, and both saw the same handshake. */
  readonly onconnect: () => void
  readonly ondata: (data: Buffer) => void
  /** It is over: with an error if it failed, with null if the other side ended it. Not called after {@link DtlsConnection.close}. */
  readonly onclose: (error: DtlsError | null) => void
  /** The handshake, if not that of `role`. */
  readonly steps?: (parties: Parties, flow: Flow) => Steps
}

export class DtlsConnection {
  readonly #options: DtlsOptions
  readonly #steps: Steps
  readonly #reassembly = new Reassembly()
  #state: 'handshake' | 'connected' | 'closed' = 'handshake'
  #exporter: Exporter | null = null
  #sealing: Sealing | null = null
  /** Once it is there, records without keys count for nothing. */
  #opening: Opening | null = null
  #plainNumber = 0
  #flight: readonly FlightRecord[] = []
  #timer: NodeJS.Timeout | undefined
  #repeats = 0
  readonly #earlyRecords: DtlsRecord[] = []
  readonly #earlyData: Buffer[] = []

  constructor(options: DtlsOptions) {
    this.#options = options
    const { role, steps = role === 'client' ? clientSteps : serverSteps } = options
    this.#steps = steps(options, {
      send: (flight, encrypted) => this.#sendFlight(flight, encrypted),
      useKeys: (keys) => {
        this.#sealing = new Sealing(keys[role])
        this.#opening = new Opening(keys[role === 'client' ? 'server' : 'client'])
        this.#reassembly.clear()
      },
    })
  }

  /** The client greets; the server waits for that. To be called once. */
  start(): void {
    this.#guard(() => this.#steps.next())
  }

  /** A datagram came; anybody may have sent it. Never throws. */
  receive(datagram: Buffer): void {
    this.#guard(() => {
      for (const record of recordsOf(datagram)) this.#receive(record)
    })
  }

  /** Sends data in one record; drops it unless connected. */
  send(data: Uint8Array): void {
    if (this.#state !== 'connected' || this.#sealing === null) return
    this.#options.send(this.#sealing.seal(CONTENT.applicationData, data))
  }

  /** Keying material that only the two ends have (RFC 5705). Throws before they are connected. */
  exportKeyingMaterial(label: string, length: number): Buffer {
    if (this.#exporter === null) throw new DtlsError('there is no keying material before the handshake is over')
    return this.#exporter(label, length)
  }

  close(): void {
    this.#state = 'closed'
    clearTimeout(this.#timer)
  }

  #receive(record: DtlsRecord): void {
    if (this.#state === 'closed') return
    if (record.epoch === EPOCH_PLAIN) {
      // Nothing else means anything without keys: an alert or a change of keys that anybody can send is not obeyed.
      if (this.#opening === null && record.type === CONTENT.handshake) this.#receivePlain(record.body)
    } else if (record.epoch === EPOCH_ENCRYPTED) {
      this.#receiveEncrypted(record)
    }
  }

  #receiveEncrypted(record: DtlsRecord): void {
    if (this.#opening === null) {
      if (this.#earlyRecords.length < LIMITS.dtlsEarlyRecords) this.#earlyRecords.push(record)
      return
    }
    const content = this.#opening.open(record)
    if (content === null) return
    if (record.type === CONTENT.handshake) this.#receiveHandshake(content)
    else if (record.type === CONTENT.alert) this.#receiveAlert(content)
    else if (record.type === CONTENT.applicationData) this.#receiveData(content)
  }

  /** What is malformed is dropped (RFC 6347 section 4.1.2.7): without keys anybody may have written it. */
  #receivePlain(content: Buffer): void {
    try {
      for (const fragment of parseFragments(content)) this.#reassembly.add(fragment)
    } catch (error) {
      if (error instanceof DtlsError) return
      throw error
    }
    this.#advanceAll()
  }

  #receiveHandshake(content: Buffer): void {
    const fragments = [...parseFragments(content)]
    if (this.#state === 'connected') {
      this.#receiveLate(fragments)
    } else {
      for (const fragment of fragments) this.#reassembly.add(fragment)
      this.#advanceAll()
    }
  }

  /** Nobody renegotiates: a new message counts for nothing. A Finished sent again says that the server's was lost. */
  #receiveLate(fragments: readonly Fragment[]): void {
    const isRepeated = fragments.some(
      ({ type, sequence }) => type === TYPE.finished && this.#reassembly.wasDelivered(sequence),
    )
    if (this.#options.role === 'server' && isRepeated) this.#transmit()
  }

  #advanceAll(): void {
    while (this.#state === 'handshake') {
      const message = this.#reassembly.take()
      if (message === null) break
      this.#advance(message)
    }
    if (this.#opening !== null) for (const record of this.#earlyRecords.splice(0)) this.#receive(record)
  }

  #advance(message: Numbered): void {
    clearTimeout(this.#timer)
    const step = this.#steps.next(message)
    // What it sent may have failed, and ended all.
    if (step.done !== true || this.#state === 'closed') return
    clearTimeout(this.#timer)
    this.#exporter = step.value
    this.#state = 'connected'
    this.#options.onconnect()
    for (const data of this.#earlyData.splice(0)) this.#receiveData(data)
  }

  #receiveData(data: Buffer): void {
    if (this.#state === 'connected') this.#options.ondata(data)
    else if (this.#state === 'handshake' && this.#earlyData.length < LIMITS.dtlsEarlyRecords) this.#earlyData.push(data)
  }

  #receiveAlert(content: Buffer): void {
    if (content.length !== ALERT_BYTES) throw new DtlsError('an alert must have two bytes')
    const [level, description] = content
    if (description === CLOSE_NOTIFY) this.#end(null)
    else if (level === ALERT_FATAL) this.#end(new DtlsError(`the other side ended DTLS with alert ${description}`))
  }

  #sendFlight(messages: readonly Numbered[], encrypted?: Numbered): void {
    const records = (message: Numbered, isEncrypted: boolean): FlightRecord[] =>
      fragmentsOf(message, message.sequence).map((content) => ({
        type: CONTENT.handshake,
        encrypted: isEncrypted,
        content,
      }))
    this.#flight = messages.flatMap((message) => records(message, false))
    if (encrypted !== undefined) {
      const change = { type: CONTENT.changeCipherSpec, encrypted: false, content: Buffer.of(1) }
      this.#flight = [...this.#flight, change, ...records(encrypted, true)]
    }
    this.#repeats = 0
    this.#transmit()
    this.#repeatIn(LIMITS.dtlsRepeatFirst)
  }

  #repeatIn(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#state === 'closed') return
    this.#timer = setTimeout(() => {
      this.#guard(() => {
        if (this.#repeats++ === LIMITS.dtlsRepeats) throw new DtlsError('the other side does not answer')
        this.#transmit()
        this.#repeatIn(2 * ms)
      })
    }, ms)
  }

  /** The flight, in as few datagrams as it fits into. */
  #transmit(): void {
    let datagram: Buffer[] = []
    let bytes = 0
    const flush = () => {
      if (bytes > 0) this.#options.send(Buffer.concat(datagram))
      datagram = []
      bytes = 0
    }
    for (const record of this.#flight) {
      const sealed = this.#encode(record)
      if (bytes + sealed.length > DATAGRAM_BYTES) flush()
      datagram.push(sealed)
      bytes += sealed.length
    }
    flush()
  }

  #encode({ type, encrypted, content }: FlightRecord): Buffer {
    if (!encrypted)
      return Buffer.concat([recordHeader(type, EPOCH_PLAIN, this.#plainNumber++, content.length), content])
    if (this.#sealing === null) throw new DtlsError('there are no keys yet')
    return this.#sealing.seal(type, content)
  }

  /** Whatever goes wrong, with what the other side sent or because of it, ends the connection and nothing else. */
  #guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#end(error instanceof DtlsError ? error : new DtlsError('a record could not be handled', { cause: error }))
    }
  }

  #end(error: DtlsError | null): void {
    if (this.#state === 'closed') return
    this.close()
    this.#options.onclose(error)
  }
}
