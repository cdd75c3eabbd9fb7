import type { LocalReach } from './candidates.ts'

/** One end of a path between two peers. */
export interface CandidateEnd {
  readonly address: string
  readonly port: number
  readonly type: RTCIceCandidateType
}

/** The path ICE chose. */
export interface CandidatePair {
  readonly local: CandidateEnd
  readonly remote: CandidateEnd
}

/** What simple-peer takes as `wrtc`. An engine of ours implements what simple-peer and the link use, and no media. */
export interface Wrtc {
  readonly RTCPeerConnection: new (config?: RTCConfiguration) => RTCPeerConnection
  readonly RTCSessionDescription: new (init: RTCSessionDescriptionInit) => RTCSessionDescriptionInit
  readonly RTCIceCandidate: new (init: RTCIceCandidateInit) => RTCIceCandidateInit
}

/** A WebRTC implementation: what simple-peer takes as `wrtc`, plus what differs between engines. */
export interface Engine {
  /** Shown in logs. */
  readonly name: 'werift' | 'native' | 'browser'
  readonly wrtc: Wrtc
  /** Bytes buffered in the engine, over all channels of a link, above which no more is given to it. */
  readonly highWater: number
  /** A channel's `send` copies: the memory it was given may be changed when it returns. */
  readonly copies: boolean
  /**
   * Calls once what has arrived by now is handled, and before anything is waited for: what it all leads to leaves
   * together, in one message for each channel.
   */
  readonly atTurnEnd: (run: () => void) => void
  /** What is asked for each negotiation, as a host comes to new networks. */
  localReach(): LocalReach
  /** The selected pair, or null before one is selected and after the connection closed. */
  selectedPair(connection: RTCPeerConnection): Promise<CandidatePair | null>
  /**
   * `length` bytes of keying material by `label` (RFC 5705), the same at both ends of a connection and known to nobody else;
   * null before it is connected. Absent where the engine has no way to it: native and browsers.
   */
  readonly exportKeyingMaterial?: (connection: RTCPeerConnection, label: string, length: number) => Uint8Array | null
  /** Closes what is still open and releases what the engine holds for the whole process; idempotent. */
  close(): Promise<void>
}

/** The bytes of a message event, in whichever form the engine gives them; null for text, which nearport never sends. */
export function messageBytes(data: unknown): Uint8Array | null {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return data instanceof ArrayBuffer ? new Uint8Array(data) : null
}
