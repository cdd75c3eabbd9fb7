import type { DataChannel as RawDataChannel, SelectedCandidateInfo } from 'node-datachannel'
import type { CandidateEnd, CandidatePair, Engine, Wrtc } from '../../shared/engine.ts'
import { LIMITS } from '../../shared/limits.ts'
import { DataChannel } from './channel.ts'
import { IceCandidate, PeerConnection, SessionDescription } from './connection.ts'
import { hostAddresses, LOOPBACK, localReach, stunServers } from './ice.ts'

type Library = typeof import('node-datachannel')['default']

/** More gains nothing: what is given to the library waits in its SCTP buffer first, and is not counted there. */
const HIGH_WATER = 64 * 1024

/** Process-wide, for connections made later. */
const SCTP = {
  recvBufferSize: 8 * 1024 * 1024,
  // It bounds a link to 160 MB/s at 50 ms of round trip. bufferedAmount does not count what is in it: a link bounds that itself.
  sendBufferSize: LIMITS.flightMost,
  maxChunksOnQueue: 65_536,
  initialCongestionWindow: 32,
} as const

/** Engines of this process: the library is torn down with the last one. */
let users = 0

/** libdatachannel, several times faster. Rejects where the optional package, or its binary, is missing. */
export async function nativeEngine(): Promise<Engine> {
  const { default: library } = await import('node-datachannel')
  if (users++ === 0) library.setSctpSettings(SCTP)
  return engine(library)
}

function engine(library: Library): Engine {
  /** Held until the library said that they closed: one that is garbage-collected before crashes the process. */
  const open = new Set<NativeConnection>()
  const channels = new Set<RawDataChannel>()
  let closed = false

  class NativeConnection extends PeerConnection {
    /** Once the library said that it is gone, which is some time after {@link close}. */
    readonly gone: Promise<void>
    readonly #connection: InstanceType<Library['PeerConnection']>
    /** Candidates of the other side, on the side that answers, until it has the answer. */
    readonly #remote: IceCandidate[] = []
    /** Candidates of the side that offers, until it has the answer; null afterwards, and on the side that answers. */
    #held: (IceCandidate | null)[] | null = null

    constructor(config: RTCConfiguration = {}) {
      super()
      const isolated = hostAddresses().includes(LOOPBACK)
      const connection = new library.PeerConnection('nearport', {
        iceServers: stunServers(config).map(({ host, port }) => ({ hostname: host, port })),
        disableAutoNegotiation: true,
        maxMessageSize: LIMITS.messageBytes,
        // No `mtu`: at 1500 the library sends what a path of less (PPPoE, LTE, a VPN) drops, for good and in silence.
        ...(isolated ? { bindAddress: LOOPBACK } : {}),
      })
      this.#connection = connection
      this.gone = new Promise((resolve) => {
        connection.onStateChange((state) => {
          this.changed('connectionState', state as RTCPeerConnectionState)
          if (state !== 'closed') return
          open.delete(this)
          resolve()
        })
      })
      connection.onIceStateChange((state) => this.changed('iceConnectionState', state as RTCIceConnectionState))
      connection.onGatheringStateChange((state) => {
        this.changed('iceGatheringState', state as RTCIceGatheringState)
        if (state === 'complete') this.#tell(null)
      })
      connection.onSignalingStateChange(() => this.#settle())
      connection.onLocalCandidate((candidate, sdpMid) =>
        this.#tell(new IceCandidate({ candidate: candidate.replace(/^a=/, ''), sdpMid })),
      )
      open.add(this)
    }

    get localDescription(): SessionDescription | null {
      const local = description(this.#connection.localDescription())
      if (local !== null && this.#held !== null) local.sdp = heldOffer(local.sdp)
      return local
    }

    get remoteDescription(): SessionDescription | null {
      return description(this.#connection.remoteDescription())
    }

    selectedPair(): CandidatePair | null {
      const pair = this.isClosed ? null : this.#connection.getSelectedCandidatePair()
      return pair === null ? null : { local: end(pair.local), remote: end(pair.remote) }
    }

    protected async generate(type: 'offer' | 'answer'): Promise<SessionDescription> {
      if (type === 'offer') this.#held = []
      // Applies it too: the library has no way to make one without.
      this.#connection.setLocalDescription(type)
      this.#settle()
      for (const candidate of this.#remote.splice(0)) await this.applyCandidate(candidate)
      return this.localDescription ?? new SessionDescription({ type })
    }

    protected async applyLocal(): Promise<void> {
      // generate did.
    }

    protected async applyRemote({ type, sdp }: SessionDescription): Promise<void> {
      // Answers as the DTLS server. As the client it would greet the other side before that is ready, and again only
      // a second later; the side that offers learns the path last, so that its greeting finds us ready.
      this.#connection.setRemoteDescription(sdp.replace(/^a=setup:actpass/m, 'a=setup:active'), type)
      this.#settle()
      const held = this.#held
      this.#held = null
      for (const candidate of held ?? []) this.found(candidate)
    }

    protected async applyCandidate(candidate: IceCandidate): Promise<void> {
      // With a path before it has both descriptions the library would begin DTLS without a role, and fail.
      if (this.signalingState === 'have-remote-offer') this.#remote.push(candidate)
      else this.#connection.addRemoteCandidate(candidate.candidate, candidate.sdpMid ?? '0')
    }

    protected openChannel(label: string, id: number): DataChannel {
      const raw = this.#connection.createDataChannel(label, { negotiated: true, id, unordered: false })
      channels.add(raw)
      const channel = new DataChannel(label, id, {
        get bufferedAmount() {
          return raw.bufferedAmount()
        },
        send: (bytes) => {
          try {
            raw.sendMessageBinary(bytes)
          } catch (error) {
            // Else the other side closed it, and the event is on its way.
            if (raw.isOpen()) throw error
          }
        },
        setLowThreshold: (bytes) => raw.setBufferedAmountLowThreshold(bytes),
        close: () => raw.close(),
      })
      raw.onOpen(() => channel.opened())
      raw.onMessage((data) => channel.received(data instanceof ArrayBuffer ? new Uint8Array(data) : data))
      raw.onBufferedAmountLow(() => channel.low())
      raw.onClosed(() => {
        channels.delete(raw)
        channel.closed()
      })
      if (raw.isOpen()) queueMicrotask(() => channel.opened())
      return channel
    }

    protected release(): void {
      this.#connection.close()
    }

    /**
     * The library lets ICE and DTLS connect inside setRemoteDescription, before it has stored the fingerprint to check
     * the certificate with, if the other side is so close that all of this takes microseconds: then the handshake
     * fails. It cannot be so early when it learns our candidates only after we have its answer. It then finds the path
     * last, so that it begins the handshake: our greeting would come too early, and again only a second later.
     */
    #tell(candidate: IceCandidate | null): void {
      if (this.#held === null) this.found(candidate)
      else this.#held.push(candidate)
    }

    /** The library tells of this state late, and simple-peer goes on at once. */
    #settle(): void {
      if (!this.isClosed) this.changed('signalingState', this.#connection.signalingState())
    }
  }

  return {
    name: 'native',
    wrtc: {
      // What it lacks of the DOM's type is media, which nearport has none of.
      RTCPeerConnection: NativeConnection as unknown as Wrtc['RTCPeerConnection'],
      RTCSessionDescription: SessionDescription,
      RTCIceCandidate: IceCandidate,
    },
    highWater: HIGH_WATER,
    copies: true,
    atTurnEnd: setImmediate,
    localReach,
    selectedPair: async (connection) => (connection instanceof NativeConnection ? connection.selectedPair() : null),
    close: async () => {
      if (closed) return
      closed = true
      const all = [...open]
      for (const connection of all) connection.close()
      await Promise.all(all.map(({ gone }) => gone))
      if (--users === 0) library.cleanup()
    },
  }
}

function end({ address, port, type }: SelectedCandidateInfo): CandidateEnd {
  return { address, port, type: type as RTCIceCandidateType }
}

function heldOffer(sdp: string): string {
  return sdp.replace(/^a=(candidate:.*|end-of-candidates)\r?\n/gm, '').replace(/^a=setup:actpass/m, 'a=setup:passive')
}

function description(init: { type: string; sdp: string } | null): SessionDescription | null {
  return init === null ? null : new SessionDescription({ type: init.type as RTCSdpType, sdp: init.sdp })
}
