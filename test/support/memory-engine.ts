/** An engine whose connections meet in this process, at once and without packets: for links by the thousand. */
import { randomBytes } from 'node:crypto'
import { DataChannel } from '../../peer/engines/channel.ts'
import { IceCandidate, PeerConnection, SessionDescription } from '../../peer/engines/connection.ts'
import { formatDescription, parseDescription } from '../../shared/description.ts'
import type { CandidatePair, Engine, Wrtc } from '../../shared/engine.ts'

const END = { address: '192.0.2.1', port: 5000, type: 'host' } as const
const PAIR: CandidatePair = { local: END, remote: END }

export interface MemoryEngine extends Engine {
  /** Sends raw messages on a channel of each connection of this engine, as only one who has altered the program can. */
  inject(channel: number, messages: readonly Uint8Array[]): void
  /** connections that are not closed */
  readonly open: number
}

/** `tamper`: what arrives at the other side instead of what is sent on channel `id`. */
export function memoryEngine(tamper = (bytes: Uint8Array, _id: number): Uint8Array[] => [bytes]): MemoryEngine {
  const open = new Set<MemoryConnection>()

  class MemoryConnection extends PeerConnection {
    localDescription: SessionDescription | null = null
    remoteDescription: SessionDescription | null = null
    readonly #ufrag = randomBytes(6).toString('hex')
    readonly #channelsById = new Map<number, DataChannel>()
    #partner: Partner | null = null

    constructor() {
      super()
      open.add(this)
      partners.set(this.#ufrag, {
        fits: (ufrag) => this.#remoteUfrag === ufrag,
        met: (partner) => this.#met(partner),
        receive: (id, bytes) => this.#channelsById.get(id)?.received(bytes),
        gone: () => this.#gone(),
      })
    }

    selectedPair(): CandidatePair | null {
      return this.#partner && PAIR
    }

    deliver(id: number, bytes: Uint8Array): void {
      const partner = this.#partner
      setImmediate(() => partner?.receive(id, bytes))
    }

    protected async generate(type: 'offer' | 'answer'): Promise<SessionDescription> {
      const hex = randomBytes(32).toString('hex').toUpperCase()
      const sdp = formatDescription({
        ufrag: this.#ufrag,
        pwd: randomBytes(12).toString('hex'),
        fingerprint: `sha-256 ${hex.match(/../g)?.join(':')}`,
        setup: type === 'offer' ? 'actpass' : 'active',
        candidates: [],
      })
      return new SessionDescription({ type, sdp })
    }

    protected async applyLocal(description: SessionDescription): Promise<void> {
      this.localDescription = description
      this.changed('signalingState', description.type === 'offer' ? 'have-local-offer' : 'stable')
      this.changed('iceGatheringState', 'complete')
      this.#meet()
    }

    protected async applyRemote(description: SessionDescription): Promise<void> {
      this.remoteDescription = description
      this.changed('signalingState', description.type === 'offer' ? 'have-remote-offer' : 'stable')
      this.#meet()
    }

    protected async applyCandidate(_candidate: IceCandidate): Promise<void> {
      // The other side is found by its fragment.
    }

    protected openChannel(label: string, id: number): DataChannel {
      const channel = new DataChannel(label, id, {
        bufferedAmount: 0,
        send: (bytes) => {
          for (const each of tamper(bytes.slice(), id)) this.deliver(id, each)
        },
        setLowThreshold: () => undefined,
        close: () => queueMicrotask(() => channel.closed()),
      })
      this.#channelsById.set(id, channel)
      if (this.#partner !== null) queueMicrotask(() => channel.opened())
      return channel
    }

    protected release(): void {
      open.delete(this)
      partners.delete(this.#ufrag)
      const partner = this.#partner
      // After what was sent before.
      setImmediate(() => partner?.gone())
    }

    get #remoteUfrag(): string | null {
      const { type, sdp } = this.remoteDescription ?? {}
      return sdp === undefined || (type !== 'offer' && type !== 'answer') ? null : parseDescription(sdp, type).ufrag
    }

    /** Once both sides have both descriptions. */
    #meet(): void {
      const own = partners.get(this.#ufrag)
      const partner = partners.get(this.#remoteUfrag ?? '')
      const isComplete = this.localDescription !== null && this.remoteDescription !== null
      if (own === undefined || partner === undefined || !isComplete || !partner.fits(this.#ufrag)) return
      this.#met(partner)
      partner.met(own)
    }

    #met(partner: Partner): void {
      this.#partner = partner
      setImmediate(() => {
        this.changed('iceConnectionState', 'connected')
        this.changed('connectionState', 'connected')
        for (const channel of this.#channelsById.values()) channel.opened()
      })
    }

    #gone(): void {
      for (const channel of this.#channelsById.values()) channel.closed()
      this.changed('iceConnectionState', 'disconnected')
      this.changed('connectionState', 'failed')
    }
  }

  return {
    name: 'werift',
    wrtc: {
      RTCPeerConnection: MemoryConnection as unknown as Wrtc['RTCPeerConnection'],
      RTCSessionDescription: SessionDescription,
      RTCIceCandidate: IceCandidate,
    },
    highWater: 128 * 1024,
    copies: true,
    atTurnEnd: setImmediate,
    localReach: () => ({ loopback: false, linkLocal: false }),
    selectedPair: async () => PAIR,
    inject: (channel, messages) => {
      for (const connection of open) for (const bytes of messages) connection.deliver(channel, bytes)
    },
    get open() {
      return open.size
    },
    close: async () => {
      for (const connection of open) connection.close()
    },
  }
}

/** A connection, as the one at its other end knows it. */
interface Partner {
  fits(ufrag: string): boolean
  met(partner: Partner): void
  receive(id: number, bytes: Uint8Array): void
  gone(): void
}

/** By the fragments of their descriptions. */
const partners = new Map<string, Partner>()
