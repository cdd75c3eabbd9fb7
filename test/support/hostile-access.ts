/** A member of a network that has a link to a share like any other, and then says on it whatever a test likes. */
import { Config } from '../../peer/config.ts'
import { type RunningPeer, startPeer, stopPeer } from '../../peer/runtime.ts'
import { Access } from '../../shared/access.ts'
import { deferred } from '../../shared/deferred.ts'
import { type Engine, messageBytes } from '../../shared/engine.ts'
import { NearportError } from '../../shared/errors.ts'
import { decodeFrames, encodeFrame } from '../../shared/frames.ts'
import { LIMITS } from '../../shared/limits.ts'
import { silentLog } from './links.ts'
import type { EngineName } from './tunnel.ts'

/** bytes that may be on their way, which is more than may be unsaid */
const ON_THE_WAY = 512 * 1024

export class HostileAccess {
  /** What each stream may send up to, by number. */
  readonly #limits = new Map<number, number>()
  readonly #node: RunningPeer
  readonly #access: Access
  readonly #channel: RTCDataChannel
  #sent = 0
  #arrived = 0
  #news = deferred<void>()

  private constructor(node: RunningPeer, access: Access, channel: RTCDataChannel) {
    this.#node = node
    this.#access = access
    this.#channel = channel
    channel.addEventListener('close', () => this.#news.resolve())
    channel.onmessage = ({ data }) => this.#receive(messageBytes(data) ?? new Uint8Array())
  }

  /** `home`: an enabled configuration folder. Its link to who serves `name` is up, and carries no stream yet. */
  static async join(home: string, name: string, engineName: EngineName): Promise<HostileAccess> {
    const node = await startPeer(new Config(home), { engine: engineName, grace: 0 }, silentLog)
    const channels = new Map<string, RTCDataChannel>()
    const access = new Access({ ...node, engine: watched(node.engine, channels) })
    await access.add(name)
    // A stream that is reset before its OPEN has left: the other side never hears of it.
    const stream = await access.open(name)
    stream.reset('peer-reset', '')
    const channel = channels.get(name)
    if (channel === undefined) throw new Error('there is no channel')
    return new HostileAccess(node, access, channel)
  }

  /** Sends a message as it is. Resolves when the other side has seen all but the last of what was sent. */
  async send(message: Uint8Array): Promise<void> {
    this.#put(message)
    await this.#until(() => this.#arrived >= this.#sent - ON_THE_WAY)
  }

  /** Resolves when the other side has seen all. */
  async seen(): Promise<void> {
    this.#put(encodeFrame({ type: 'PING', stream: 0 }))
    await this.#until(() => this.#arrived >= this.#sent)
  }

  /** bytes that the stream may send up to; the OPEN gives the first */
  limit(stream: number): number {
    return this.#limits.get(stream) ?? LIMITS.initialWindow
  }

  async stop(): Promise<void> {
    await this.#access.close(new NearportError('shutting-down', 'the test is over'))
    await stopPeer(this.#node)
  }

  #put(message: Uint8Array): void {
    if (this.#channel.readyState !== 'open') throw new Error('the channel was closed')
    this.#sent += message.length
    this.#channel.send(new Uint8Array(message))
  }

  #receive(message: Uint8Array): void {
    for (const frame of decodeFrames(message)) {
      if (frame.type === 'CREDIT') this.#limits.set(frame.stream, frame.taken + frame.window)
      else if (frame.type === 'ARRIVED') this.#arrived = frame.bytes
      else if (frame.type === 'RESET') throw new Error(`stream ${frame.stream} was reset: ${frame.text}`)
    }
    this.#news.resolve()
    this.#news = deferred<void>()
  }

  async #until(met: () => boolean): Promise<void> {
    while (!met()) {
      await this.#news.promise
      if (this.#channel.readyState !== 'open') throw new Error('the channel was closed')
    }
  }
}

/** The engine, of which the channels are kept by their label. */
function watched(engine: Engine, channels: Map<string, RTCDataChannel>): Engine {
  const RTCPeerConnection = class extends engine.wrtc.RTCPeerConnection {
    override createDataChannel(label: string, init?: RTCDataChannelInit): RTCDataChannel {
      const channel = super.createDataChannel(label, init)
      channels.set(label, channel)
      return channel
    }
  }
  return { ...engine, wrtc: { ...engine.wrtc, RTCPeerConnection } }
}
