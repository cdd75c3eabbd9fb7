/**
 * One RTCPeerConnection and its control channel, by simple-peer. What simple-peer wants said to the other side is
 * sealed and numbered, so that the signaling server can neither read nor alter, replay, reflect or redirect it.
 */
import SimplePeer from 'simple-peer'
import { fromBase64Url, toBase64Url } from './bytes.ts'
import { type Sealer, signalContext } from './crypto.ts'
import type { Engine } from './engine.ts'
import { asNearportError, NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { decodeSignal, encodeSignal, isRelay, parseSignal, type Signal } from './sdp.ts'

export interface NegotiationOptions {
  readonly initiator: boolean
  readonly session: string
  /** ids of the two peer processes */
  readonly self: string
  readonly remote: string
  readonly engine: Engine
  readonly sealer: Sealer
  /** "stun:HOST:PORT", or null for none: only host candidates are found then */
  readonly stunUrl: string | null
  /** Hands a sealed signal to the signaling server; may throw. */
  readonly sendSignal: (box: string) => void
}

export class Negotiation {
  /** The control channel is open both ways. */
  onconnect: () => void = () => undefined
  /** A message on the control channel; may come before `onconnect`. */
  onmessage: (bytes: Uint8Array) => void = () => undefined
  /** The connection is over; not called after our own destroy(). */
  onclose: (reason: NearportError) => void = () => undefined

  readonly pc: RTCPeerConnection
  readonly #peer: SimplePeer
  readonly #options: NegotiationOptions
  #outgoing = Promise.resolve()
  #incoming = Promise.resolve()
  #sentSignals = 0
  #receivedSignals = 0
  /** The other side's one description has come; engines may send candidates before it. */
  #described = false
  #connected = false
  #destroyed = false

  constructor(options: NegotiationOptions) {
    this.#options = options
    const { engine, initiator, stunUrl } = options
    let pc: RTCPeerConnection | null = null
    // simple-peer keeps its connection to itself; the share channels are made on it.
    const RTCPeerConnection = class extends engine.wrtc.RTCPeerConnection {
      constructor(config?: RTCConfiguration) {
        super(config)
        pc = this
      }
    }
    this.#peer = new SimplePeer({
      initiator,
      trickle: true,
      objectMode: true,
      // Without trickle it would matter; with it, it is only a timer that simple-peer never clears.
      iceCompleteTimeout: 1,
      channelName: 'control',
      channelConfig: { negotiated: true, id: 0, ordered: true },
      config: { iceServers: stunUrl === null ? [] : [{ urls: stunUrl }] },
      wrtc: { ...engine.wrtc, RTCPeerConnection },
    })
    if (pc === null) throw new NearportError('internal', `the ${engine.name} engine made no connection`)
    this.pc = pc
    this.#peer.on('signal', (signal) => this.#send(signal))
    this.#peer.on('connect', () => {
      this.#connected = true
      this.onconnect()
    })
    this.#peer.on('data', (bytes) => this.onmessage(bytes))
    this.#peer.on('error', (error) => this.#fail(this.#explain(error)))
    this.#peer.on('close', () => this.#fail(new NearportError('link-lost', 'the other side closed the connection')))
  }

  /** Sends on the control channel. False when it is not open; what is sent while it closes is lost all the same. */
  send(bytes: Uint8Array): boolean {
    if (this.#destroyed || !this.#peer.connected) return false
    this.#peer.send(bytes)
    return true
  }

  /** A sealed signal arrived from the signaling server. */
  receiveSignal(box: string): void {
    this.#incoming = this.#incoming.then(() => this.#receive(box)).catch((error) => this.#fail(asNearportError(error)))
  }

  destroy(): void {
    if (this.#destroyed) return
    this.#destroyed = true
    this.#peer.destroy()
  }

  /** ICE that fails before it ever connected found no path; everything else is a connection that broke. */
  #explain(error: Error): NearportError {
    const code = 'code' in error ? error.code : null
    const isPath = code === 'ERR_ICE_CONNECTION_FAILURE' || code === 'ERR_CONNECTION_FAILURE'
    return isPath && !this.#connected ? noPath(error) : new NearportError('link-lost', error.message, { cause: error })
  }

  #fail(reason: NearportError): void {
    if (this.#destroyed) return
    this.destroy()
    this.onclose(reason)
  }

  #send(raw: unknown): void {
    this.#outgoing = this.#outgoing
      .then(() => this.#sealAndSend(parseSignal(raw)))
      .catch((error) => this.#fail(asNearportError(error)))
  }

  async #sealAndSend(signal: Signal): Promise<void> {
    if (this.#destroyed || (signal.type === 'candidate' && isRelay(signal.candidate.candidate))) return
    const { session, self, remote, sealer, sendSignal } = this.#options
    const box = await sealer.seal(encodeSignal(signal), signalContext(session, self, remote, this.#sentSignals++))
    if (!this.#destroyed) sendSignal(toBase64Url(box))
  }

  async #receive(box: string): Promise<void> {
    const { session, self, remote, sealer, initiator } = this.#options
    const sealed = fromBase64Url(box)
    const plain = sealed && (await sealer.open(sealed, signalContext(session, remote, self, this.#receivedSignals)))
    if (!plain) {
      throw new NearportError(
        'signal-refused',
        `signal ${this.#receivedSignals} of the session is not what ${remote} sealed`,
      )
    }
    const signal = decodeSignal(plain)
    this.#receivedSignals++
    if (signal.type !== 'candidate') {
      if (this.#described || signal.type !== (initiator ? 'answer' : 'offer')) {
        throw new NearportError('sdp-invalid', `the other side sent an ${signal.type} that is not due`)
      }
      this.#described = true
    } else if (this.#receivedSignals - Number(this.#described) > LIMITS.candidatesPerLink) {
      throw new NearportError('sdp-invalid', `the other side sent over ${LIMITS.candidatesPerLink} candidates`)
    }
    if (this.#destroyed || (signal.type === 'candidate' && isRelay(signal.candidate.candidate))) return
    this.#peer.signal(signal)
  }
}

/** No candidate pair worked. */
export function noPath(cause?: Error): NearportError {
  const message = 'no direct path to the other side: a NAT or firewall between the two lets no UDP through'
  return new NearportError('link-timeout', message, { cause })
}
