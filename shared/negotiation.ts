/**
 * One RTCPeerConnection and its control channel, by simple-peer. What simple-peer wants said to the other side is
 * sealed and numbered, so that the signaling server can neither read nor alter, replay, reflect or redirect it.
 */
import SimplePeer from 'simple-peer'
import { fromBase64Url, toBase64Url } from './bytes.ts'
import { RemoteCandidates } from './candidates.ts'
import { type Sealer, signalContext } from './crypto.ts'
import { formatDescription, parseDescription } from './description.ts'
import type { Engine } from './engine.ts'
import { asNearportError, NearportError } from './errors.ts'
import type { NatReport } from './nat.ts'
import type { PeerRef } from './peer-key.ts'
import { decodeSignal, encodeSignal, outgoing, parseSignal, type Signal } from './sdp.ts'
import { verdict, whyNoPath } from './verdict.ts'

/** RFC 5705 section 4: what is not registered begins with EXPERIMENTAL. */
const KEYING_LABEL = 'EXPERIMENTAL nearport link'
const KEYING_BYTES = 32

export interface NegotiationOptions {
  readonly initiator: boolean
  readonly session: string
  readonly self: PeerRef
  readonly remote: PeerRef
  readonly engine: Engine
  /** of the session */
  readonly sealer: Promise<Sealer>
  /** "stun:HOST:PORT", or null for none: only host candidates are found then */
  readonly stunUrl: string | null
  /** Hands a sealed signal to the signaling server; may throw. */
  readonly sendSignal: (box: string) => void
  /** What NAT this side is behind, once that is known; never rejects. Absent where it cannot be found. */
  readonly nat?: (() => Promise<NatReport | null>) | undefined
}

/** Whether a box is the first signal of a session, sealed by a member. */
export async function opensFirst(
  sealer: Sealer,
  session: string,
  from: PeerRef,
  to: PeerRef,
  box: string,
): Promise<boolean> {
  const sealed = fromBase64Url(box)
  return sealed !== null && (await sealer.open(sealed, signalContext(session, from, to, 0))) !== null
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
  readonly #candidates: RemoteCandidates
  #outgoing = Promise.resolve()
  #incoming = Promise.resolve()
  #sentSignals = 0
  #receivedSignals = 0
  /** The other side's one description has come; engines may send candidates before it. */
  #described = false
  #near: NatReport | null = null
  #far: NatReport | null = null
  /** The other side takes `nat` as a signal of its own. */
  #farKnowsNat = false
  /** Whether our description said it; null before it left. */
  #toldNat: boolean | null = null
  #connected = false
  #settled = false
  /** ICE has found a path. */
  #hadPath = false
  #destroyed = false

  /** Throws `internal` when the engine makes no connection, for want of files perhaps. */
  constructor(options: NegotiationOptions) {
    this.#options = options
    const { engine, stunUrl } = options
    this.#candidates = new RemoteCandidates(engine.localReach())
    // simple-peer keeps its connection to itself, and why it could not be made; the share channels are made on it.
    const config = { iceServers: stunUrl === null ? [] : [{ urls: stunUrl }] }
    const pc = makeConnection(engine, config)
    this.pc = pc
    this.#peer = this.#begin(pc, config)
    this.#peer.on('iceStateChange', (state) => {
      this.#hadPath ||= state === 'connected' || state === 'completed'
    })
    options.nat?.().then((report) => {
      this.#near = report
      this.#tellNatLate()
    })
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

  /** bytes on the control channel that have not left */
  get buffered(): number {
    return this.#peer.bufferSize
  }

  /** The other side is proven: no more is said by way of the server, and nothing the server does or says counts. */
  settle(): void {
    this.#settled = true
  }

  /** Keying material of the connection, which only its two ends have (RFC 5705); null where the engine cannot export it. */
  keyingMaterial(): Uint8Array | null {
    return this.#options.engine.exportKeyingMaterial?.(this.pc, KEYING_LABEL, KEYING_BYTES) ?? null
  }

  /** A sealed signal arrived from the signaling server. */
  receiveSignal(box: string): void {
    if (this.#settled) return
    this.#incoming = this.#incoming.then(() => this.#receive(box)).catch((error) => this.#fail(asNearportError(error)))
  }

  destroy(): void {
    if (this.#destroyed) return
    this.#destroyed = true
    this.#peer.destroy()
  }

  /** No candidate pair worked. */
  noPath(cause?: Error): NearportError {
    if (!this.#described) {
      const next = 'look at the log of the other side'
      return new NearportError('link-timeout', 'the other side did not answer the offer', { cause, next })
    }
    const { says, next } = whyNoPath(this.#near, this.#far)
    const exit = verdict(this.#near, this.#far).meet === 'no' ? 2 : 1
    return new NearportError('link-timeout', `no direct path to the other side: ${says}`, { cause, next, exit })
  }

  /** The server ended the negotiation before there was a path: the other side most likely saw first that there is none. */
  abandoned(reason: NearportError): NearportError {
    if (reason.code !== 'peer-gone' || !this.#described) return reason
    const { meet, says, next } = whyNoPath(this.#near, this.#far)
    const message = `the other side gave up before a direct path was found: ${says}`
    return new NearportError(meet === 'no' ? 'link-timeout' : 'peer-gone', message, { cause: reason, next })
  }

  #begin(pc: RTCPeerConnection, config: RTCConfiguration): SimplePeer {
    const { engine, initiator } = this.#options
    try {
      return new SimplePeer({
        initiator,
        trickle: true,
        objectMode: true,
        // Without trickle it would matter; with it, it is only a timer that simple-peer never clears.
        iceCompleteTimeout: 1,
        channelName: 'control',
        channelConfig: { negotiated: true, id: 0, ordered: true },
        config,
        // What is there already.
        wrtc: { ...engine.wrtc, RTCPeerConnection: new Proxy(engine.wrtc.RTCPeerConnection, { construct: () => pc }) },
      })
    } catch (error) {
      pc.close()
      throw error
    }
  }

  /** ICE that fails before it ever connected found no path; with a path, DTLS failed; everything else is a connection that broke. */
  #explain(error: Error): NearportError {
    const code = 'code' in error ? error.code : null
    const isConnecting = code === 'ERR_ICE_CONNECTION_FAILURE' || code === 'ERR_CONNECTION_FAILURE'
    if (!isConnecting || this.#connected) return new NearportError('link-lost', error.message, { cause: error })
    return this.#hadPath ? notAuthentic(error) : this.noPath(error)
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

  async #sealAndSend(raw: Signal): Promise<void> {
    const signal = outgoing(this.#completed(raw))
    if (this.#destroyed || signal === null) return
    const { session, self, remote, sealer, sendSignal } = this.#options
    const context = signalContext(session, self, remote, this.#sentSignals++)
    const box = await (await sealer).seal(encodeSignal(signal), context)
    if (!this.#destroyed && !this.#settled) sendSignal(toBase64Url(box))
  }

  async #receive(box: string): Promise<void> {
    const { session, self, remote, sealer, initiator } = this.#options
    const sealed = fromBase64Url(box)
    const context = signalContext(session, remote, self, this.#receivedSignals)
    const plain = sealed && (await (await sealer).open(sealed, context))
    if (this.#settled) return
    if (!plain) {
      throw new NearportError(
        'signal-refused',
        `signal ${this.#receivedSignals} of the session is not what ${remote.peer} sealed`,
      )
    }
    const signal = decodeSignal(plain)
    this.#receivedSignals++
    if (signal.type === 'offer' || signal.type === 'answer') {
      if (this.#described || signal.type !== (initiator ? 'answer' : 'offer')) {
        throw new NearportError('sdp-invalid', `the other side sent an ${signal.type} that is not due`)
      }
      this.#described = true
      this.#farKnowsNat = signal.nat !== undefined
      this.#far = signal.nat ?? null
      this.#tellNatLate()
      this.#receiveDescription(signal)
    } else if (signal.type === 'nat') {
      this.#far = signal.nat
    } else {
      this.#tryCandidate(signal.candidate.candidate)
    }
  }

  #receiveDescription({ type, sdp }: Extract<Signal, { sdp: string }>): void {
    const description = parseDescription(sdp, type)
    if (this.#destroyed) return
    // An engine has all candidates from one hand.
    this.#peer.signal({ type, sdp: formatDescription({ ...description, candidates: [] }) })
    for (const candidate of description.candidates) this.#tryCandidate(candidate)
  }

  #tryCandidate(text: string): void {
    const candidate = this.#destroyed ? null : this.#candidates.admit(text)
    if (candidate !== null)
      this.#peer.signal({ type: 'candidate', candidate: { candidate, sdpMid: '0', sdpMLineIndex: 0 } })
  }

  #completed(signal: Signal): Signal {
    if (signal.type !== 'offer' && signal.type !== 'answer') return signal
    this.#toldNat = this.#near !== null
    return { ...signal, nat: this.#near }
  }

  /** Nothing waits for the NAT to be found, so that it may be known only after our description has left. */
  #tellNatLate(): void {
    if (this.#toldNat !== false || this.#near === null || !this.#farKnowsNat || this.#connected) return
    this.#toldNat = true
    this.#send({ type: 'nat', nat: this.#near })
  }
}

const notAuthentic = (cause: Error) =>
  new NearportError(
    'proof-refused',
    'there is a path, but whoever is at its other end has not the certificate that was announced',
    {
      cause,
    },
  )

function makeConnection(engine: Engine, config: RTCConfiguration): RTCPeerConnection {
  try {
    return new engine.wrtc.RTCPeerConnection(config)
  } catch (error) {
    const { message } = asNearportError(error)
    throw new NearportError('internal', `the ${engine.name} engine made no connection: ${message}`, { cause: error })
  }
}
