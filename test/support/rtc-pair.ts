/// <reference path="../../shared/simple-peer.d.ts" />
import SimplePeer, { type Options, type Signal } from 'simple-peer'
import type { Engine } from '../../shared/engine.ts'

export interface RtcEnd {
  readonly engine: Engine
  readonly peer: SimplePeer
  /** The connection under the simple-peer, for further channels. */
  readonly connection: RTCPeerConnection
  /** What this end gave to be carried to the other, as it was. */
  readonly signals: Signal[]
}

export interface RtcPair {
  readonly initiator: RtcEnd
  readonly acceptor: RtcEnd
  /** Destroys both and resolves once both have closed. */
  close(): Promise<void>
}

export interface PairOptions {
  readonly config?: RTCConfiguration
  /** Alters what is carried, as a signaling server could; null drops it. */
  readonly carry?: (signal: Signal, from: 'initiator' | 'acceptor') => Signal | null
  readonly simplePeer?: Partial<Options>
}

/** Two simple-peers in this process that carry each other's signals, not connected yet. */
export function rtcPair(initiator: Engine, acceptor: Engine, options: PairOptions = {}): RtcPair {
  const first = rtcEnd(initiator, true, options)
  const second = rtcEnd(acceptor, false, options)
  const carry = options.carry ?? ((signal) => signal)
  const join = (from: RtcEnd, to: RtcEnd, name: 'initiator' | 'acceptor'): void => {
    from.peer.on('signal', (signal) => {
      from.signals.push(signal)
      const carried = carry(signal, name)
      // Not within the call: a server is in between.
      if (carried !== null) setImmediate(() => receive(to, carried))
    })
  }
  join(first, second, 'initiator')
  join(second, first, 'acceptor')
  return {
    initiator: first,
    acceptor: second,
    close: async () => {
      await Promise.all([first, second].map(({ peer }) => closed(peer)))
    },
  }
}

/** Hands over what was carried, as a negotiation does: an engine has no candidates in a description. */
function receive({ peer }: RtcEnd, signal: Signal): void {
  if (peer.destroyed) return
  if (!('sdp' in signal)) {
    peer.signal(signal)
    return
  }
  const lines = signal.sdp.split('\r\n')
  const isCandidate = (line: string) => line.startsWith('a=candidate:')
  const sdp = lines.filter((line) => !isCandidate(line) && line !== 'a=end-of-candidates').join('\r\n')
  peer.signal({ ...signal, sdp })
  for (const line of lines.filter(isCandidate)) {
    peer.signal({ type: 'candidate', candidate: { candidate: line.slice('a='.length), sdpMid: '0' } })
  }
}

/** {@link rtcPair}, once both ends are connected. */
export async function connectedPair(initiator: Engine, acceptor: Engine, options?: PairOptions): Promise<RtcPair> {
  const pair = rtcPair(initiator, acceptor, options)
  await bothConnected(pair)
  return pair
}

export async function bothConnected({ initiator, acceptor }: RtcPair): Promise<void> {
  await Promise.all([connected(initiator.peer), connected(acceptor.peer)])
}

/** One simple-peer with its control channel negotiated as id 0. */
export function rtcEnd(engine: Engine, initiator: boolean, options: PairOptions = {}): RtcEnd {
  const made: RTCPeerConnection[] = []
  const RTCPeerConnection = class extends engine.wrtc.RTCPeerConnection {
    constructor(config?: RTCConfiguration) {
      super(config)
      made.push(this)
    }
  }
  const peer = new SimplePeer({
    initiator,
    trickle: true,
    channelName: 'control',
    channelConfig: { negotiated: true, id: 0 },
    config: options.config ?? { iceServers: [] },
    iceCompleteTimeout: 1,
    objectMode: true,
    ...options.simplePeer,
    wrtc: { ...engine.wrtc, RTCPeerConnection },
  })
  const connection = made[0]
  if (connection === undefined) throw new Error('simple-peer made no connection')
  return { engine, peer, connection, signals: [] }
}

export function connected(peer: SimplePeer): Promise<void> {
  return new Promise((resolve, reject) => {
    if (peer.connected) return resolve()
    peer.once('connect', resolve)
    peer.once('error', reject)
    peer.once('close', () => reject(new Error('closed before it was connected')))
  })
}

/** Once it closed, whoever closed it. */
export function closing(peer: SimplePeer): Promise<void> {
  return new Promise((resolve) => {
    if (peer.destroyed) resolve()
    else peer.once('close', resolve)
  })
}

/** Destroys it, and resolves once it has closed. */
export function closed(peer: SimplePeer): Promise<void> {
  const heard = closing(peer)
  peer.destroy()
  return heard
}

/** A further channel on both ends, open on both. */
export async function channelPair(
  pair: RtcPair,
  id: number,
  label = `channel ${id}`,
): Promise<[RTCDataChannel, RTCDataChannel]> {
  const make = ({ connection }: RtcEnd): RTCDataChannel =>
    connection.createDataChannel(label, { negotiated: true, id, ordered: true })
  const channels: [RTCDataChannel, RTCDataChannel] = [make(pair.initiator), make(pair.acceptor)]
  await Promise.all(channels.map(opened))
  return channels
}

export function opened(channel: RTCDataChannel): Promise<void> {
  return new Promise((resolve, reject) => {
    if (channel.readyState === 'open') return resolve()
    channel.addEventListener('open', () => resolve(), { once: true })
    channel.addEventListener('close', () => reject(new Error('closed before it was open')), { once: true })
  })
}
