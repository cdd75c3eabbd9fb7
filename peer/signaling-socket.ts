import WebSocket from 'ws'
import { LIMITS } from '../shared/limits.ts'

/** The WebSocket of a process to its server, which can make it hold one message, and unpack nothing. */
export class SignalingSocket extends WebSocket {
  constructor(url: string) {
    super(url, {
      maxPayload: LIMITS.signalingMessageBytes,
      maxFragments: LIMITS.signalingFragments,
      maxBufferedChunks: LIMITS.signalingFragments,
      perMessageDeflate: false,
    })
  }
}
