import { setImmediate as turnEnd } from 'node:timers/promises'
import * as werift from 'werift'
import type { CandidateEnd, CandidatePair, Engine, Wrtc } from '../../shared/engine.ts'
import { asNearportError, NearportError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { DataChannel } from './channel.ts'
import { IceCandidate, PeerConnection, SessionDescription } from './connection.ts'
import { hostAddresses, localReach, stunServers } from './ice.ts'
import { type DtlsOverrides, WeriftDtls } from './werift-dtls.ts'
import { repairIce } from './werift-ice.ts'
import { guardPath } from './werift-path.ts'
import { repairSctp } from './werift-sctp.ts'
import { repairUdp } from './werift-udp.ts'

/** werift sends one message at a time and wakes each waiting one at every flush: more than a few only cost time. */
const HIGH_WATER = 128 * 1024

/** WebRTC in TypeScript: runs wherever Node runs. Throws `engine-missing` where werift lacks what is replaced inside it. */
export function weriftEngine(log: Log, dtls: DtlsOverrides = {}): Engine {
  rehearse(log)
  repairUdp()
  const open = new Set<WeriftConnection>()
  const closing = new Set<Promise<void>>()

  class WeriftConnection extends PeerConnection {
    readonly #connection: werift.RTCPeerConnection
    readonly #stun: boolean
    #dtls: WeriftDtls | null = null

    constructor(config: RTCConfiguration = {}) {
      super()
      // The first server only, and IPv4 addresses only: werift asks no other.
      const stun = stunServers(config).map(({ host, port }) => ({
        urls: host.includes(':') ? `stun:[${host}]:${port}` : `stun:${host}:${port}`,
      }))
      this.#stun = stun.length > 0
      this.#connection = new werift.RTCPeerConnection({
        iceServers: stun,
        iceAdditionalHostAddresses: [...hostAddresses()],
      })
      this.#connection.connectionStateChange.subscribe((state) => this.changed('connectionState', state))
      this.#connection.iceConnectionStateChange.subscribe((state) => this.changed('iceConnectionState', state))
      this.#connection.iceGatheringStateChange.subscribe((state) => this.changed('iceGatheringState', state))
      this.#connection.signalingStateChange.subscribe((state) => this.changed('signalingState', state))
      this.#connection.onIceCandidate.subscribe((candidate) =>
        this.found(candidate ? new IceCandidate(candidate) : null),
      )
      open.add(this)
    }

    get localDescription(): SessionDescription | null {
      const description = this.#connection.localDescription
      return description === null ? null : new SessionDescription(description)
    }

    get remoteDescription(): SessionDescription | null {
      const description = this.#connection.remoteDescription
      return description === null ? null : new SessionDescription(description)
    }

    selectedPair(): CandidatePair | null {
      const pair = this.isClosed ? undefined : this.#connection.iceTransports[0]?.connection.nominated
      return pair === undefined ? null : { local: end(pair.localCandidate), remote: end(pair.remoteCandidate) }
    }

    exportKeyingMaterial(label: string, length: number): Buffer | null {
      return this.#dtls?.exportKeyingMaterial(label, length) ?? null
    }

    protected async generate(type: 'offer' | 'answer'): Promise<SessionDescription> {
      const description = await (type === 'offer' ? this.#connection.createOffer() : this.#connection.createAnswer())
      return new SessionDescription(description)
    }

    protected async applyLocal(description: SessionDescription): Promise<void> {
      this.#dtls = repair(this.#connection, log, dtls, (error) => {
        log.warn({ err: asNearportError(error) }, 'werift cannot read what the other side sent')
        this.changed('connectionState', 'failed')
      })
      for (const transport of this.#connection.iceTransports) {
        // Without a server of ours werift would ask Google's.
        if (!this.#stun) delete transport.connection.stunServer
        // Begun here and not awaited; werift itself would wait, up to 5 s for a STUN server that does not answer.
        transport
          .gather()
          .catch((error: unknown) => log.warn({ err: asNearportError(error) }, 'werift cannot gather candidates'))
      }
      await this.#connection.setLocalDescription(description)
    }

    protected async applyRemote(description: SessionDescription): Promise<void> {
      await this.#connection.setRemoteDescription(description)
    }

    protected async applyCandidate(candidate: IceCandidate): Promise<void> {
      await this.#connection.addIceCandidate(candidate)
    }

    protected openChannel(label: string, id: number): DataChannel {
      const raw = this.#connection.createDataChannel(label, { negotiated: true, id, ordered: true })
      const channel = new DataChannel(label, id, {
        get bufferedAmount() {
          return raw.bufferedAmount
        },
        send: (bytes) => raw.send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
        setLowThreshold: (bytes) => {
          raw.bufferedAmountLowThreshold = bytes
        },
        close: () => raw.close(),
      })
      raw.stateChange.subscribe((state) => {
        if (state === 'open') channel.opened()
        if (state === 'closed') channel.closed()
      })
      raw.onMessage.subscribe((data) => channel.received(data))
      raw.bufferedAmountLow.subscribe(() => channel.low())
      // On an open connection werift opens it within the call; as in a browser, the event comes after.
      if (raw.readyState === 'open') queueMicrotask(() => channel.opened())
      return channel
    }

    protected release(): void {
      open.delete(this)
      const closed = this.#stop()
        .catch((error: unknown) => log.warn({ err: asNearportError(error) }, 'werift cannot close a connection'))
        .finally(() => closing.delete(closed))
      closing.add(closed)
    }

    /** werift closes the path before it says goodbye on it, and the other side would miss us only after 30 s. */
    async #stop(): Promise<void> {
      if (this.#connection.connectionState === 'connected') {
        await this.#connection.sctpTransport?.stop()
        // dgram hands over a datagram a tick late, and drops it if the socket has closed by then.
        await turnEnd()
      }
      await this.#connection.close()
    }
  }

  return {
    name: 'werift',
    wrtc: {
      // What it lacks of the DOM's type is media, which nearport has none of.
      RTCPeerConnection: WeriftConnection as unknown as Wrtc['RTCPeerConnection'],
      RTCSessionDescription: SessionDescription,
      RTCIceCandidate: IceCandidate,
    },
    highWater: HIGH_WATER,
    copies: false,
    atTurnEnd: setImmediate,
    localReach,
    selectedPair: async (connection) => (connection instanceof WeriftConnection ? connection.selectedPair() : null),
    exportKeyingMaterial: (connection, label, length) =>
      connection instanceof WeriftConnection ? connection.exportKeyingMaterial(label, length) : null,
    close: async () => {
      for (const connection of open) connection.close()
      await Promise.all(closing)
    },
  }
}

/** Replaces inside a connection what werift does wrong; to be called once it has its data channel, and before it gathers. */
function repair(
  { sctpTransport, iceTransports, dtlsTransports }: werift.RTCPeerConnection,
  log: Log,
  dtls: DtlsOverrides,
  onfault: (error: unknown) => void,
): WeriftDtls {
  const [dtlsTransport, ...others] = dtlsTransports
  if (dtlsTransport === undefined || others.length > 0) {
    throw new NearportError(
      'engine-missing',
      `this werift has ${dtlsTransports.length} DTLS transports for one connection`,
    )
  }
  if (sctpTransport !== undefined) repairSctp(sctpTransport.sctp, onfault)
  for (const transport of iceTransports) {
    repairIce(transport)
    guardPath(transport)
  }
  return new WeriftDtls(dtlsTransport, log, dtls)
}

/** On a connection that is never used: it shows whether this werift can be repaired, before anybody relies on that. */
function rehearse(log: Log): void {
  const connection = new werift.RTCPeerConnection({ iceServers: [] })
  connection.createDataChannel('rehearsal', { negotiated: true, id: 0 })
  repair(connection, log, {}, () => undefined)
  connection
    .close()
    .catch((error: unknown) => log.warn({ err: asNearportError(error) }, 'werift cannot close a connection'))
}

function end({ host, port, type }: werift.Candidate): CandidateEnd {
  return { address: host, port, type: type as RTCIceCandidateType }
}
