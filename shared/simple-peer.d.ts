/** Only what nearport uses of simple-peer 9.11.1, which ships no types and whose public ones need Node's. */
declare module 'simple-peer' {
  import type { Wrtc } from './engine.ts'

  export interface DescriptionSignal {
    readonly type: 'offer' | 'answer'
    readonly sdp: string
  }

  export interface CandidateSignal {
    readonly type: 'candidate'
    readonly candidate: {
      readonly candidate: string
      readonly sdpMid?: string | null | undefined
      readonly sdpMLineIndex?: number | null | undefined
    }
  }

  export type Signal = DescriptionSignal | CandidateSignal

  export interface Options {
    readonly initiator?: boolean
    readonly trickle?: boolean
    readonly channelName?: string
    readonly channelConfig?: RTCDataChannelInit
    /** Always give one: the default names public STUN servers. */
    readonly config: RTCConfiguration
    readonly wrtc?: Wrtc
    readonly sdpTransform?: (sdp: string) => string
    /** ms. simple-peer never clears this timer, so that its default of 5 s keeps a finished process up; 0 means the default. */
    readonly iceCompleteTimeout?: number
    readonly objectMode?: boolean
  }

  interface Events {
    signal: [signal: Signal]
    connect: []
    data: [chunk: Uint8Array]
    iceStateChange: [connection: RTCIceConnectionState, gathering: RTCIceGatheringState]
    error: [error: Error]
    close: []
  }

  export default class SimplePeer {
    constructor(options: Options)
    readonly initiator: boolean
    readonly connected: boolean
    readonly destroyed: boolean
    readonly bufferSize: number
    readonly localAddress: string | undefined
    readonly localPort: number | undefined
    readonly remoteAddress: string | undefined
    readonly remotePort: number | undefined
    signal(signal: Signal): void
    send(chunk: Uint8Array): void
    destroy(error?: Error): void
    on<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): this
    once<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): this
    off<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): this
  }
}
