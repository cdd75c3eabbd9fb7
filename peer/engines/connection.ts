import type { CandidatePair } from '../../shared/engine.ts'
import type { DataChannel } from './channel.ts'
import { fire, type Handler } from './events.ts'

/** simple-peer writes to `sdp`, so that neither engine's own read-only objects will do. */
export class SessionDescription {
  type: RTCSdpType
  sdp: string

  constructor({ type, sdp = '' }: RTCSessionDescriptionInit) {
    this.type = type
    this.sdp = sdp
  }
}

export class IceCandidate {
  readonly candidate: string
  readonly sdpMid: string | null
  readonly sdpMLineIndex: number | null

  constructor({ candidate = '', sdpMid = null, sdpMLineIndex = null }: RTCIceCandidateInit) {
    this.candidate = candidate
    this.sdpMid = sdpMid
    this.sdpMLineIndex = sdpMLineIndex
  }
}

class CandidateEvent extends Event {
  /** Null when there are no more. */
  readonly candidate: IceCandidate | null

  constructor(candidate: IceCandidate | null) {
    super('icecandidate')
    this.candidate = candidate
  }
}

interface States {
  connectionState: RTCPeerConnectionState
  iceConnectionState: RTCIceConnectionState
  iceGatheringState: RTCIceGatheringState
  signalingState: RTCSignalingState
}

/**
 * What the link and simple-peer use of a W3C RTCPeerConnection, the same over both engines: one negotiation, no
 * media, ordered channels negotiated out of band, candidates only through `addIceCandidate`. Like there, `close` fires no event on the connection itself.
 */
export abstract class PeerConnection extends EventTarget implements States {
  connectionState: RTCPeerConnectionState = 'new'
  iceConnectionState: RTCIceConnectionState = 'new'
  iceGatheringState: RTCIceGatheringState = 'new'
  signalingState: RTCSignalingState = 'stable'
  onconnectionstatechange: Handler<Event> = null
  oniceconnectionstatechange: Handler<Event> = null
  onicegatheringstatechange: Handler<Event> = null
  onsignalingstatechange: Handler<Event> = null
  onicecandidate: Handler<CandidateEvent> = null

  readonly #channels = new Set<DataChannel>()
  readonly #early: IceCandidate[] = []

  abstract get localDescription(): SessionDescription | null
  abstract get remoteDescription(): SessionDescription | null
  abstract selectedPair(): CandidatePair | null
  /** Generates a description; the engine may begin to use it at once. */
  protected abstract generate(type: 'offer' | 'answer'): Promise<SessionDescription>
  protected abstract applyLocal(description: SessionDescription): Promise<void>
  protected abstract applyRemote(description: SessionDescription): Promise<void>
  protected abstract applyCandidate(candidate: IceCandidate): Promise<void>
  protected abstract openChannel(label: string, id: number): DataChannel
  protected abstract release(): void

  createOffer(): Promise<SessionDescription> {
    return this.#generate('offer', 'stable')
  }

  createAnswer(): Promise<SessionDescription> {
    return this.#generate('answer', 'have-remote-offer')
  }

  setLocalDescription(description: RTCSessionDescriptionInit): Promise<void> {
    return this.applyLocal(new SessionDescription(description))
  }

  async setRemoteDescription({ type, sdp = '' }: RTCSessionDescriptionInit): Promise<void> {
    await this.applyRemote(new SessionDescription({ type, sdp }))
    for (const candidate of this.#early.splice(0)) await this.applyCandidate(candidate)
  }

  async addIceCandidate(init?: RTCIceCandidateInit | null): Promise<void> {
    const candidate = new IceCandidate(init ?? {})
    if (this.isClosed) return
    if (this.remoteDescription === null) this.#early.push(candidate)
    else await this.applyCandidate(candidate)
  }

  createDataChannel(label: string, { negotiated = false, id, ordered = true }: RTCDataChannelInit = {}): DataChannel {
    if (this.isClosed) throw new DOMException('the connection is closed', 'InvalidStateError')
    if (!negotiated || id === undefined || !ordered) {
      throw new DOMException('only ordered channels negotiated out of band', 'NotSupportedError')
    }
    // simple-peer gives null for the label on the side that accepts.
    const channel = this.openChannel(String(label), id)
    this.#channels.add(channel)
    channel.addEventListener('close', () => this.#channels.delete(channel), { once: true })
    return channel
  }

  /** simple-peer finds the chosen path in this; and it asks for it only if the function declares no parameter. */
  async getStats(): Promise<Map<string, object>> {
    const pair = this.selectedPair()
    if (pair === null) return new Map()
    return new Map<string, object>([
      ['local', { id: 'local', type: 'local-candidate', ...stats(pair.local) }],
      ['remote', { id: 'remote', type: 'remote-candidate', ...stats(pair.remote) }],
      ['pair', { id: 'pair', type: 'candidate-pair', localCandidateId: 'local', remoteCandidateId: 'remote' }],
      ['transport', { id: 'transport', type: 'transport', selectedCandidatePairId: 'pair' }],
    ])
  }

  close(): void {
    if (this.isClosed) return
    this.connectionState = 'closed'
    this.iceConnectionState = 'closed'
    this.signalingState = 'closed'
    this.release()
    // The engines tell this late or never; events come after close returned, as they would in a browser.
    queueMicrotask(() => {
      for (const channel of this.#channels) channel.closed()
    })
  }

  protected get isClosed(): boolean {
    return this.signalingState === 'closed'
  }

  /** For the engine: a state changed. */
  protected changed<K extends keyof States>(key: K, state: States[K]): void {
    if (this.isClosed || this[key] === state) return
    Object.assign(this, { [key]: state })
    const name = key.toLowerCase() as Lowercase<K>
    fire(this, new Event(`${name}change`), this[`on${name}change`])
  }

  /** For the engine: a local candidate was found, or (null) the last one was. */
  protected found(candidate: IceCandidate | null): void {
    if (!this.isClosed) fire(this, new CandidateEvent(candidate), this.onicecandidate)
  }

  async #generate(type: 'offer' | 'answer', from: RTCSignalingState): Promise<SessionDescription> {
    // A second round would need an ICE restart, which native lacks; and native aborts the process in a wrong state.
    if (this.signalingState !== from || (type === 'offer' && this.remoteDescription !== null)) {
      throw new DOMException(`no ${type} in state ${this.signalingState}`, 'InvalidStateError')
    }
    return this.generate(type)
  }
}

function stats({ address, port, type }: CandidatePair['local']): object {
  return { address, port, candidateType: type }
}
