/**
 * All that two peer processes carry between them: the mux of each share. A tunnel goes over one link after another;
 * while there is none it waits for one, so that the TCP connections on both sides do not notice.
 */
import { nanoid } from 'nanoid'
import { type Deferred, deferred } from './deferred.ts'
import { type ErrorCode, NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { Mux, StreamCount } from './mux.ts'
import type { MuxStream } from './stream.ts'
import { WindowBudget } from './window-budget.ts'

/** How the share side takes streams of a name; null when it does not serve the name. */
export type Acceptor = (name: string) => ((stream: MuxStream) => void) | null

/** What the access side asks a link for. */
export interface TunnelRequest {
  /** of the tunnel */
  readonly id: string
  /** Which of the tunnels of the two processes it is, from 0. */
  readonly slot: number
  /** Peer ids of processes of the same environment that were killed. */
  readonly ended: readonly string[]
}

/** What a tunnel needs of the channels of a link. */
export interface Carriage {
  /** Access side: makes the channel of a mux, and announces it. */
  carry(channel: number, name: string, mux: Mux, resume: boolean): void
  /** Tells the other side that a share has ended here. */
  refuse(channel: number, reason: NearportError): void
  /** See Link.answers. */
  answers(): Promise<boolean>
  /** The link is of no more use: another one carries the tunnel, or the tunnel has ended. */
  end(reason: NearportError): void
}

/** A link that fails while it is made may have been ready on one side already: to that one it is lost. */
const LOST: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['link-lost', 'link-timeout', 'proof-timeout'])

interface Share {
  readonly name: string
  readonly mux: Mux
  readonly opened: Deferred<Mux>
  isOpen: boolean
}

export class Tunnel {
  /** Resolves when the tunnel is closed, with the reason. */
  readonly closed: Promise<NearportError>
  readonly id: string
  readonly #accept: Acceptor | null
  readonly #grace: number
  readonly #ended = deferred<NearportError>()
  readonly #counts = { budget: new WindowBudget(), count: new StreamCount() }
  /** By the number of their channel, which is the same on every link. */
  readonly #shares = new Map<number, Share>()
  #carriage: Carriage | null = null
  #graceTimer: ReturnType<typeof setTimeout> | undefined
  #lastChannel = 0
  /** The other side has heard of channels up to this one. */
  #lastCarried = 0
  /** Access side: channels that ended while there was no link to say so. */
  readonly #withdrawn = new Map<number, NearportError>()
  #closed: NearportError | null = null

  /**
   * `accept` is null on the access side, which makes the `id`. `grace`: ms to wait for another link; with 0 none is
   * waited for.
   */
  constructor(accept: Acceptor | null, grace: number, id: string = nanoid()) {
    this.id = id
    this.closed = this.#ended.promise
    this.#accept = accept
    this.#grace = grace
  }

  get isClosed(): boolean {
    return this.#closed !== null
  }

  /** No link carries it now. */
  get isWaiting(): boolean {
    return this.#carriage === null
  }

  /** The process at the other end answers at this moment. */
  async answers(): Promise<boolean> {
    const asked = this.#carriage
    // It may come back on another link while it is asked on this one.
    return (await asked?.answers()) === true || (this.#carriage !== null && this.#carriage !== asked)
  }

  /** Connections that are open, or whose end the other side does not know of yet. */
  get streams(): number {
    return this.#counts.count.now
  }

  /** Access side: the mux of a name, once the other side serves it here. Rejects with its refusal. */
  async open(name: string): Promise<Mux> {
    if (this.#closed !== null) throw this.#closed
    if (this.#shares.size >= LIMITS.sharesPerTunnel) {
      throw new NearportError('too-many-shares', `${LIMITS.sharesPerTunnel} shares of this peer are open already`)
    }
    if (this.#lastChannel >= LIMITS.sharesPerTunnel) {
      // Names that came and went have used them up: the next tunnel begins anew.
      this.close(new NearportError('shutting-down', 'the tunnel has used up its channel numbers'))
      throw this.#closed
    }
    const channel = ++this.#lastChannel
    const { mux, opened } = this.#add(channel, name, null)
    if (this.#carriage !== null) this.#carry(this.#carriage, channel, name, mux, false)
    return opened.promise
  }

  /** Access side: the other side opened the channel. */
  opened(channel: number): void {
    const share = this.#shares.get(channel)
    if (share === undefined) return
    share.isOpen = true
    share.opened.resolve(share.mux)
  }

  /** Share side: the mux for a channel that was announced. Throws why it is refused. */
  accept(channel: number, name: string, resume: boolean): Mux {
    if (this.#closed !== null) throw this.#closed
    const accept = this.#accept?.(name) ?? null
    if (accept === null) throw new NearportError('name-offline', `"${name}" is not served here`)
    const known = this.#shares.get(channel)
    if (!resume) {
      if (known !== undefined) throw new NearportError('message-malformed', `channel ${channel} was opened twice`)
      const share = this.#add(channel, name, accept)
      share.isOpen = true
      return share.mux
    }
    if (known?.name === name) return known.mux
    throw new NearportError('resume-refused', `the connections to "${name}" were given up before the path came back`)
  }

  /** A mux ends: the other side refused it, or serves it no longer. */
  end(channel: number, reason: NearportError): void {
    const share = this.#shares.get(channel)
    if (share === undefined) return
    this.#shares.delete(channel)
    share.opened.reject(reason)
    share.mux.close(reason)
  }

  /** A name is served by this peer no longer. */
  withdraw(name: string, reason: NearportError): void {
    for (const [channel, share] of this.#shares) {
      if (share.name !== name) continue
      if (this.#carriage !== null) this.#carriage.refuse(channel, reason)
      else if (this.#accept === null) this.#withdrawn.set(channel, reason)
      this.end(channel, reason)
    }
  }

  /** A link is ready, and carries the tunnel from now on. */
  attach(carriage: Carriage): void {
    const before = this.#carriage
    clearTimeout(this.#graceTimer)
    this.#carriage = carriage
    for (const { mux } of this.#shares.values()) mux.detach()
    before?.end(new NearportError('link-lost', 'a newer link has taken its place'))
    if (this.#accept !== null) return
    // Each time: the link before may have been lost under the word.
    for (const [channel, reason] of this.#withdrawn) carriage.refuse(channel, reason)
    for (const [channel, { name, mux, isOpen }] of this.#shares) this.#carry(carriage, channel, name, mux, isOpen)
  }

  /** A link is over. Only its loss is waited out: whoever ends it for another reason ends the tunnel. */
  detach(carriage: Carriage, reason: NearportError): void {
    if (carriage !== this.#carriage) return
    this.#carriage = null
    if (!LOST.has(reason.code) || this.#grace === 0) {
      this.close(reason)
      return
    }
    for (const { mux } of this.#shares.values()) mux.detach()
    this.#graceTimer = setTimeout(() => {
      this.close(new NearportError('link-lost', `no new link within ${this.#grace / 1000} s after: ${reason.message}`))
    }, this.#grace)
  }

  /** Access side: a link could not be made or was lost, and what was never open has nothing to wait for. */
  failUnopened(reason: NearportError): void {
    for (const [channel, { isOpen }] of this.#shares) if (!isOpen) this.end(channel, reason)
    // Numbers that the other side never heard of are free again.
    this.#lastChannel = Math.max(this.#lastCarried, ...this.#shares.keys())
  }

  /** Resets every connection, with this reason. */
  close(reason: NearportError): void {
    if (this.#closed !== null) return
    this.#closed = reason
    clearTimeout(this.#graceTimer)
    const carriage = this.#carriage
    this.#carriage = null
    for (const channel of this.#shares.keys()) this.end(channel, reason)
    this.#ended.resolve(reason)
    carriage?.end(reason)
  }

  #carry(carriage: Carriage, channel: number, name: string, mux: Mux, resume: boolean): void {
    this.#lastCarried = Math.max(this.#lastCarried, channel)
    carriage.carry(channel, name, mux, resume)
  }

  #add(channel: number, name: string, accept: ((stream: MuxStream) => void) | null): Share {
    const share: Share = { name, mux: new Mux(this.#counts, accept), opened: deferred<Mux>(), isOpen: false }
    // Whoever opens it waits for it; on the share side nobody does.
    share.opened.promise.catch(() => undefined)
    share.mux.closed.then((reason) => this.end(channel, reason))
    this.#shares.set(channel, share)
    return share
  }
}
