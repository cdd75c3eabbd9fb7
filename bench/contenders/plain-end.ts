/**
 * One end of a channel as the engine's own documentation makes it, with nothing of nearport in it, as a process of its
 * own.
 *
 *     node plain-end.js native|werift initiator|acceptor MESSAGE_BYTES HIGH_WATER
 */
import { type Channel, ChannelEnd, obey, tell } from './channel-end.ts'

const [engine, role, message, highWater] = process.argv.slice(2)
const writing = { message: Number(message), highWater: Number(highWater) }

/** What both engines' classes have of the W3C's. */
interface Connection {
  readonly iceGatheringState: string
  readonly localDescription: { type: string; sdp: string } | null | undefined
  createDataChannel(label: string, init: { negotiated: boolean; id: number }): Channel & { binaryType?: string }
  createOffer(): Promise<unknown>
  createAnswer(): Promise<unknown>
  setLocalDescription(description: unknown): Promise<unknown>
  setRemoteDescription(description: unknown): Promise<unknown>
}

interface End {
  readonly connection: Connection
  readonly channel: Channel
  /** Sets what is called. */
  listen(events: { open(): void; low(): void; received(bytes: number): void }): void
}

async function native(): Promise<End> {
  const { RTCPeerConnection } = await import('node-datachannel/polyfill')
  const connection = new RTCPeerConnection({ iceServers: [] })
  const channel = connection.createDataChannel('bulk', { negotiated: true, id: 1 })
  channel.binaryType = 'arraybuffer'
  channel.bufferedAmountLowThreshold = writing.highWater / 2
  return {
    connection: connection as unknown as Connection,
    channel: channel as unknown as Channel,
    listen: ({ open, low, received }) => {
      channel.onopen = open
      channel.onbufferedamountlow = low
      channel.onmessage = ({ data }: MessageEvent) => received((data as ArrayBuffer).byteLength)
    },
  }
}

async function werift(): Promise<End> {
  const { RTCPeerConnection } = await import('werift')
  const connection = new RTCPeerConnection({ iceServers: [] })
  const channel = connection.createDataChannel('bulk', { negotiated: true, id: 1 })
  channel.bufferedAmountLowThreshold = writing.highWater / 2
  return {
    connection: connection as unknown as Connection,
    channel: {
      get bufferedAmount() {
        return channel.bufferedAmount
      },
      send: (bytes) => channel.send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
    },
    listen: ({ open, low, received }) => {
      channel.stateChange.subscribe((state) => state === 'open' && open())
      channel.bufferedAmountLow.subscribe(low)
      channel.onMessage.subscribe((data) => received(data.length))
    },
  }
}

const { connection, channel, listen } = await (engine === 'native' ? native() : werift())
const end = new ChannelEnd(channel, writing)
listen({ open: () => tell({ open: true }), low: () => end.fill(), received: (bytes) => end.received(bytes) })

/** The whole description, once all candidates are in it. */
async function describe(description: unknown): Promise<void> {
  await connection.setLocalDescription(description)
  while (connection.iceGatheringState !== 'complete') await new Promise((resolve) => setTimeout(resolve, 5))
  const { localDescription } = connection
  tell({ signal: { type: localDescription?.type, sdp: localDescription?.sdp } })
}

async function take(signal: unknown): Promise<void> {
  await connection.setRemoteDescription(signal)
  if (role === 'acceptor') await describe(await connection.createAnswer())
}

obey(take, end)
if (role === 'initiator') await describe(await connection.createOffer())
