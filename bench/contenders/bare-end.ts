/// <reference path="../../shared/simple-peer.d.ts" />
/**
 * One end of a channel of nearport's own engine, with nothing of nearport above it, as a process of its own.
 *
 *     node bare-end.js native|werift initiator|acceptor MESSAGE_BYTES HIGH_WATER
 */
import SimplePeer, { type Signal } from 'simple-peer'
import { type EngineChoice, loadEngine } from '../../peer/engines/index.ts'
import { makeLog } from '../../peer/log.ts'
import { ChannelEnd, obey, tell } from './channel-end.ts'

const [engineName, role, message, highWater] = process.argv.slice(2)
const writing = { message: Number(message), highWater: Number(highWater) }
const engine = await loadEngine(engineName as EngineChoice, makeLog({ level: 'warn', json: false }))
let connection: RTCPeerConnection | undefined

const peer = new SimplePeer({
  initiator: role === 'initiator',
  config: { iceServers: [] },
  channelName: 'control',
  channelConfig: { negotiated: true, id: 0 },
  wrtc: {
    ...engine.wrtc,
    RTCPeerConnection: class extends engine.wrtc.RTCPeerConnection {
      constructor(config?: RTCConfiguration) {
        super(config)
        connection = this
      }
    },
  },
})
const channel = connection?.createDataChannel('bulk', { negotiated: true, id: 1, ordered: true })
if (channel === undefined) throw new Error('simple-peer made no connection')
channel.binaryType = 'arraybuffer'
channel.bufferedAmountLowThreshold = writing.highWater / 2

const end = new ChannelEnd(channel as { bufferedAmount: number; send(bytes: Uint8Array): void }, writing)
channel.onmessage = ({ data }) => end.received((data as Uint8Array).byteLength)
channel.onbufferedamountlow = () => end.fill()
channel.onopen = () => tell({ open: true })
peer.on('signal', (signal) => tell({ signal }))
peer.on('error', (error) => {
  throw error
})
obey((signal) => peer.signal(signal as Signal), end)
