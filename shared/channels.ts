/**
 * The share channels of one proven link: one negotiated, ordered data channel per share name, each for its mux. The
 * access side announces them by their number, the share side answers.
 */
import type { ControlMessage } from './control.ts'
import { type Engine, messageBytes } from './engine.ts'
import { asNearportError, type ErrorCode, NearportError } from './errors.ts'
import type { Carrier } from './lane.ts'
import { LIMITS } from './limits.ts'
import type { Mux } from './mux.ts'
import { Scheduler } from './scheduler.ts'
import type { Carriage, Tunnel } from './tunnel.ts'

export interface ChannelsOwner {
  readonly role: 'access' | 'share'
  readonly pc: RTCPeerConnection
  send(control: ControlMessage): void
  /** Something arrived from the other side: it lives. */
  heard(): void
  answers(): Promise<boolean>
  /** The other side broke the rules, or the link is of no more use: it is to be cut off. */
  fail(reason: NearportError): void
}

interface ShareChannel {
  readonly channel: RTCDataChannel
  readonly mux: Mux
  deadline?: ReturnType<typeof setTimeout>
}

/** A data channel as the scheduler sees it. `onsend` is told the bytes of each message. */
function carrier(channel: RTCDataChannel, copies: boolean, onsend: (bytes: number) => void): Carrier {
  const view: Carrier = {
    copies,
    // A channel that closes under a message is reported by onclose; some engines throw on top of that.
    send: (message) => {
      if (channel.readyState !== 'open') return
      onsend(message.length)
      channel.send(message as Uint8Array<ArrayBuffer>)
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

export class Channels implements Carriage {
  /** of all share channels so far, both ways */
  bytes = 0
  readonly #owner: ChannelsOwner
  readonly #copies: boolean
  readonly #scheduler: Scheduler
  readonly #channels = new Map<number, ShareChannel>()
  #tunnel: Tunnel | null = null
  #lastId = 0

  constructor(owner: ChannelsOwner, engine: Engine) {
    this.#owner = owner
    this.#copies = engine.copies
    this.#scheduler = new Scheduler(engine.highWater, engine.atTurnEnd)
  }

  /** The link is proven: it carries this tunnel from now on. */
  begin(tunnel: Tunnel): void {
    this.#tunnel = tunnel
    try {
      tunnel.attach(this)
    } catch (error) {
      // The engine may find that the connection is gone before it says so.
      throw new NearportError('link-lost', 'the channels could not be made', { cause: error })
    }
  }

  carry(id: number, name: string, mux: Mux, resume: boolean): void {
    this.#lastId = Math.max(id, this.#lastId)
    const share = this.#make(id, name, mux, resume)
    this.#owner.send({ type: 'open', channel: id, name, resume })
    share.deadline = setTimeout(() => {
      const what = `the other side did not open "${name}"`
      if (resume) this.#owner.fail(new NearportError('link-lost', what))
      else this.#endShare(id, new NearportError('link-timeout', what))
    }, LIMITS.requestDeadline)
  }

  /** The access side closes the channel when it is told: if we did, it might see that first, and not know why. */
  refuse(id: number, { code, message }: NearportError): void {
    this.#owner.send({ type: 'closed', channel: id, code, message: message.slice(0, 500) })
    const share = this.#channels.get(id)
    if (share !== undefined) share.channel.onmessage = () => this.#owner.heard()
  }

  answers(): Promise<boolean> {
    return this.#owner.answers()
  }

  end(reason: NearportError): void {
    this.#owner.fail(reason)
  }

  receive(control: Extract<ControlMessage, { type: 'open' | 'opened' | 'closed' }>): void {
    switch (control.type) {
      case 'open':
        this.#receiveOpen(control.channel, control.name, control.resume)
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
    for (const id of this.#channels.keys()) this.#forget(id)
    this.#tunnel?.detach(this, reason)
  }

  #make(id: number, name: string, mux: Mux, resume: boolean): ShareChannel {
    const channel = this.#owner.pc.createDataChannel(name, { negotiated: true, id, ordered: true })
    channel.binaryType = 'arraybuffer'
    mux.attach(this.#scheduler.addLane(carrier(channel, this.#copies, (bytes) => this.#count(bytes))), resume)
    channel.onmessage = (event) => this.#receiveMessage(mux, event.data)
    channel.onclose = () => this.#receiveClose(id, name)
    const share: ShareChannel = { channel, mux }
    this.#channels.set(id, share)
    return share
  }

  #count(bytes: number): void {
    this.bytes += bytes
  }

  #receiveMessage(mux: Mux, data: unknown): void {
    this.#owner.heard()
    try {
      const bytes = messageBytes(data)
      if (bytes === null) throw new NearportError('frame-malformed', 'the other side sent text on a share channel')
      this.#count(bytes.length)
      mux.receive(bytes)
    } catch (error) {
      this.#owner.fail(asNearportError(error))
    }
  }

  #receiveOpen(id: number, name: string, resume: boolean): void {
    if (this.#owner.role === 'access') {
      throw new NearportError('message-malformed', 'the share side announced a channel')
    }
    if (id <= this.#lastId) throw new NearportError('message-malformed', `channel ${id} was announced twice`)
    this.#lastId = id
    const mux = this.#accept(id, name, resume)
    if (mux === null) return
    const { channel } = this.#make(id, name, mux, resume)
    whenOpen(channel, () => {
      this.#owner.send({ type: 'opened', channel: id })
      mux.start()
    })
  }

  #accept(id: number, name: string, resume: boolean): Mux | null {
    try {
      return this.#tunnel?.accept(id, name, resume) ?? null
    } catch (error) {
      const reason = asNearportError(error)
      if (reason.code === 'message-malformed') throw reason
      this.refuse(id, reason)
      return null
    }
  }

  #receiveOpened(id: number): void {
    const share = this.#channels.get(id)
    // It may have been given up meanwhile; a number that never was is a fault.
    if (share === undefined) {
      if (id > this.#lastId) throw new NearportError('message-malformed', `channel ${id} was never announced`)
      return
    }
    clearTimeout(share.deadline)
    whenOpen(share.channel, () => {
      share.mux.start()
      this.#tunnel?.opened(id)
    })
  }

  #receiveClosed(id: number, code: ErrorCode, message: string): void {
    // The access side also tells of one that ended while there was no link: it is not announced again.
    if (this.#owner.role === 'access' && id > this.#lastId) {
      throw new NearportError('message-malformed', `channel ${id} was never announced`)
    }
    this.#endShare(id, new NearportError(code, message))
  }

  /** The other side closes a channel after `refuse`; one that closes by itself takes the link with it. */
  #receiveClose(id: number, name: string): void {
    const share = this.#channels.get(id)
    this.#forget(id)
    if (share?.mux.isClosed === false) {
      this.#owner.fail(new NearportError('link-lost', `the channel of "${name}" was closed`))
    }
  }

  #endShare(id: number, reason: NearportError): void {
    const share = this.#channels.get(id)
    this.#forget(id)
    this.#tunnel?.end(id, reason)
    share?.channel.close()
  }

  #forget(id: number): void {
    const share = this.#channels.get(id)
    if (share === undefined) return
    this.#channels.delete(id)
    clearTimeout(share.deadline)
    share.channel.onclose = null
    share.channel.onmessage = null
    share.channel.onopen = null
  }
}

function whenOpen(channel: RTCDataChannel, then: () => void): void {
  if (channel.readyState === 'open') then()
  else channel.onopen = then
}
