/// <reference path="../shared/simple-peer.d.ts" />
/** One end of a bare data channel of an engine, as a process of its own; its parent carries the signals over IPC. */
import SimplePeer, { type Signal } from 'simple-peer'
import { type EngineChoice, loadEngine } from '../peer/engines/index.ts'
import { makeLog } from '../peer/log.ts'
import { LIMITS } from '../shared/limits.ts'

type Order = { readonly signal: Signal } | { readonly send: number } | { readonly expect: number }

const [engineName, role] = process.argv.slice(2)
const engine = await loadEngine(engineName as EngineChoice, makeLog({ level: 'warn', json: false }))
let connection: RTCPeerConnection | undefined
const tell = (message: object) => process.send?.(message)

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
channel.bufferedAmountLowThreshold = engine.highWater / 2

let expected = 0
channel.onmessage = ({ data }) => {
  expected -= (data as ArrayBuffer | Uint8Array).byteLength
  if (expected === 0) tell({ done: true })
}

/** Full messages, whenever less than the engine's best high-water mark is buffered: its best settings. */
function send(bytes: number): void {
  const message = new Uint8Array(LIMITS.messageBytes)
  let left = bytes
  const fill = () => {
    for (; left > 0 && channel !== undefined && channel.bufferedAmount < engine.highWater; left -= message.length) {
      channel.send(left < message.length ? message.subarray(0, left) : message)
    }
  }
  if (channel !== undefined) channel.onbufferedamountlow = fill
  fill()
}

peer.on('signal', (signal) => tell({ signal }))
peer.on('error', (error) => {
  throw error
})
channel.onopen = () => tell({ open: true })
process.on('message', (order: Order) => {
  if ('signal' in order) peer.signal(order.signal)
  else if ('send' in order) send(order.send)
  else expected = order.expect
})
process.on('disconnect', () => process.exit())
