/**
 * The share channels of one proven link: one negotiated, ordered data channel per share name, each with its mux.
 * The access side numbers and announces them, the share side answers.
 */
import type { ControlMessage } from './control.ts'
import { type Deferred, deferred } from './deferred.ts'
import { messageBytes } from './engine.ts'
import { asNearportError, type ErrorCode, NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { Mux, StreamCount } from './mux.ts'
import { type Carrier, Scheduler } from './scheduler.ts'
import { type MuxStream, WindowBudget } from './stream.ts'

/** How the share side takes streams of a name; null when it does not serve the name. */
export type Acceptor = (name: string) => ((stream: MuxStream) => void) | null

export interface ChannelsOwner {
  readonly pc: RTCPeerConnection
  send(control: ControlMessage): void
  /** Something arrived from the other side: it lives. */
  heard(): void
  /** The other side broke the rules: the link is to be cut off. */
  fail(reason: NearportError): void
}

interface ShareChannel {
  readonly name: string
  readonly channel: RTCDataChannel
  readonly mux: Mux
  readonly opened: Deferred<Mux>
}

/** A data channel as the scheduler sees it. */
function carrier(channel: RTCDataChannel): Carrier {
  const view: Carrier = {
    // A channel that closes under a message is reported by onclose; some engines throw on top of that.
    send: (message) => {
      if (channel.readyState === 'open') channel.send(message as Uint8Array<ArrayBuffer>)
    },
    get bufferedAmount() {
      return channel.readyState === 'open' ? channel.bufferedAmount : 0
    },
    get bufferedAmountLowThreshold() {
      return channel.bufferedAmountLowThreshold
    },
    set bufferedAmountLowThreshold(bytes) {
      channel.bufferedAmountLowThreshold = bytes
    },
    onlow: null,
  }
  channel.onbufferedamountlow = () => view.onlow?.()
  return view
}

export class Channels {
  readonly #owner: ChannelsOwner
  readonly #accept: Acceptor | null
  readonly #scheduler: Scheduler
  readonly #shared = { budget: new WindowBudget(), count: new StreamCount() }
  readonly #channels = new Map<number, ShareChannel>()
  #lastId = 0

  /** `accept` is null on the access side. `highWater`: see Scheduler. */
  constructor(owner: ChannelsOwner, highWater: number, accept: Acceptor | null) {
    this.#owner = owner
    this.#scheduler = new Scheduler(highWater)
    this.#accept = accept
  }

  /** Access side: the mux of a name, once the other side serves it here. Rejects with its refusal. */
  async open(name: string): Promise<Mux> {
    if (this.#channels.size >= LIMITS.sharesPerLink) {
      throw new NearportError('too-many-shares', `this link carries ${LIMITS.sharesPerLink} shares already`)
    }
    if (this.#lastId >= LIMITS.sharesPerLink) {
      // Names that came and went have used them up: the next link begins anew.
      const reason = new NearportError('link-lost', 'the link has used up its channel numbers')
      this.#owner.fail(reason)
      throw reason
    }
    const id = ++this.#lastId
    const { opened } = this.#make(id, name, null)
    this.#owner.send({ type: 'open', channel: id, name })
    const timer = setTimeout(
      () => this.#close(id, new NearportError('link-timeout', `the other side did not open "${name}"`)),
      LIMITS.requestDeadline,
    )
    try {
      return await opened.promise
    } finally {
      clearTimeout(timer)
    }
  }

  /** Share side: the name is served no longer. */
  withdraw(name: string, reason: NearportError): void {
    for (const [id, share] of this.#channels) if (share.name === name) this.#refuse(id, share, reason)
  }

  receive(control: Extract<ControlMessage, { type: 'open' | 'opened' | 'closed' }>): void {
    switch (control.type) {
      case 'open':
        this.#receiveOpen(control.channel, control.name)
        break
      case 'opened':
        this.#receiveOpened(control.channel)
        break
      case 'closed':
        this.#receiveClosed(control.channel, control.code, control.message)
    }
  }

  /** The link ends, and its connection with it closes every channel. */
  close(reason: NearportError): void {
    for (const [id, share] of this.#channels) this.#forget(id, share, reason)
  }

  #make(id: number, name: string, accept: ((stream: MuxStream) => void) | null): ShareChannel {
    const channel = this.#owner.pc.createDataChannel(name, { negotiated: true, id, ordered: true })
    channel.binaryType = 'arraybuffer'
    const mux = new Mux(this.#scheduler.addLane(carrier(channel)), this.#shared, accept)
    channel.onmessage = (event) => this.#receiveMessage(mux, event.data)
    channel.onclose = () => this.#close(id, new NearportError('link-lost', `the channel of "${name}" was closed`))
    const share = { name, channel, mux, opened: deferred<Mux>() }
    this.#channels.set(id, share)
    return share
  }

  #receiveMessage(mux: Mux, data: unknown): void {
    this.#owner.heard()
    try {
      const bytes = messageBytes(data)
      if (bytes === null) throw new NearportError('frame-malformed', 'the other side sent text on a share channel')
      mux.receive(bytes)
    } catch (error) {
      this.#owner.fail(asNearportError(error))
    }
  }

  #receiveOpen(id: number, name: string): void {
    if (this.#accept === null) throw new NearportError('message-malformed', 'the share side announced a channel')
    if (id <= this.#lastId) throw new NearportError('message-malformed', `channel ${id} was announced twice`)
    this.#lastId = id
    const accept = this.#accept(name)
    if (accept === null) {
      this.#owner.send({ type: 'closed', channel: id, code: 'name-offline', message: `"${name}" is not served here` })
    } else {
      const { channel } = this.#make(id, name, accept)
      whenOpen(channel, () => this.#owner.send({ type: 'opened', channel: id }))
    }
  }

  #receiveOpened(id: number): void {
    const share = this.#channels.get(id)
    // It may have been given up meanwhile; a number that never was is a fault.
    if (share !== undefined) whenOpen(share.channel, () => share.opened.resolve(share.mux))
    else if (id > this.#lastId) throw new NearportError('message-malformed', `channel ${id} was never announced`)
  }

  #receiveClosed(id: number, code: ErrorCode, message: string): void {
    if (id > this.#lastId) throw new NearportError('message-malformed', `channel ${id} was never announced`)
    this.#close(id, new NearportError(code, message))
  }

  /** The access side closes the channel when it is told: if we did, it might see that first, and not know why. */
  #refuse(id: number, share: ShareChannel, reason: NearportError): void {
    this.#owner.send({ type: 'closed', channel: id, code: reason.code, message: reason.message.slice(0, 500) })
    share.channel.onmessage = () => this.#owner.heard()
    share.mux.close(reason)
  }

  #close(id: number, reason: NearportError): void {
    const share = this.#channels.get(id)
    if (share === undefined) return
    this.#forget(id, share, reason)
    share.channel.close()
  }

  #forget(id: number, share: ShareChannel, reason: NearportError): void {
    this.#channels.delete(id)
    share.channel.onclose = null
    share.channel.onmessage = null
    share.mux.close(reason)
    share.opened.promise.catch(() => undefined)
    share.opened.reject(reason)
  }
}

function whenOpen(channel: RTCDataChannel, then: () => void): void {
  if (channel.readyState === 'open') then()
  else channel.onopen = then
}
