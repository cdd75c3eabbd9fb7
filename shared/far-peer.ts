/** The access side's view of one share process: a tunnel to it, and while it is wanted a link under the tunnel. */
import { nanoid } from 'nanoid'
import { Backoff } from './backoff.ts'
import { Sealer, shortIdentity } from './crypto.ts'
import { asNearportError, type ErrorCode, explained, NearportError } from './errors.ts'
import { FarStatus } from './far-status.ts'
import { LIMITS } from './limits.ts'
import { Link } from './link.ts'
import type { Mux } from './mux.ts'
import type { PeerNode } from './node.ts'
import type { PeerStatus } from './status.ts'
import { Tunnel } from './tunnel.ts'

const ABOUT_THE_NAME: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['name-offline', 'displaced', 'too-many-shares'])

export class FarPeer {
  readonly peer: string
  /** Called when a name is not used here, as its owner is not the one that is known. */
  onrefused: (name: string) => void = () => undefined
  readonly #owner: string
  readonly #slot: number
  readonly #node: PeerNode
  readonly #backoff = new Backoff()
  readonly #sessions: Map<string, Link>
  /** Names to open as soon as a link is there, so that the first job does not wait. */
  readonly #names = new Set<string>()
  #tunnel: Tunnel | null = null
  #muxes = new Map<string, Promise<Mux>>()
  #link: Link | null = null
  /** performance.now() when the link became ready; null before. */
  #readySince: number | null = null
  /** Tries for a link since connections wait for one. */
  #attempts = 0
  #retry: ReturnType<typeof setTimeout> | undefined
  #wanted = true
  /** Who follows its status, if anybody does. */
  #onstatus: ((status: PeerStatus | null) => void) | null = null
  /** What it says of itself on this link; null where it is not asked. */
  #status: FarStatus | null = null

  /** `slot`: see TunnelRequest. `sessions`: where the signals for a link are looked up by session id. */
  constructor(node: PeerNode, peer: string, owner: string, slot: number, sessions: Map<string, Link>) {
    this.#node = node
    this.peer = peer
    this.#owner = owner
    this.#slot = slot
    this.#sessions = sessions
  }

  /** A link is there, and the name is open on it. */
  carries(name: string): boolean {
    return this.#link !== null && this.#muxes.has(name)
  }

  /** Under the link; null while there is none that is ready. */
  get connection(): RTCPeerConnection | null {
    return this.#readySince === null ? null : (this.#link?.connection ?? null)
  }

  /** Nothing waits for it any more. */
  get idle(): boolean {
    return this.#link === null && this.#onstatus === null && this.streams === 0
  }

  /** Connections that are open, or whose end the other side does not know of yet. */
  get streams(): number {
    return this.#tunnel?.streams ?? 0
  }

  /** Keeps the link and the channel of this name up from now on. */
  keep(name: string): void {
    this.#wanted = true
    this.#names.add(name)
    this.mux(name).catch((error: NearportError) => {
      // The end of a link is logged once, not for each of its names.
      if (!ABOUT_THE_NAME.has(error.code)) return
      this.#node.log.warn({ name, code: error.code, reason: error.message, next: error.next }, 'share not reached')
    })
  }

  /** The signaling server no longer has this peer: a link that is up goes on, but no new one is tried. */
  lose(name: string): void {
    this.#names.delete(name)
    this.#giveUpUnwanted()
  }

  /** See Access.follow. */
  follow(onstatus: (status: PeerStatus | null) => void): () => void {
    this.#wanted = true
    this.#onstatus = onstatus
    onstatus(this.#status)
    this.#connect()
    this.#ask()
    return () => {
      if (this.#onstatus !== onstatus) return
      this.#onstatus = null
      this.#giveUpUnwanted()
    }
  }

  /**
   * The server says that another process serves the name now. This one may live all the same, and says so itself; if
   * it does not answer it was started again, and what it had of this name ends.
   */
  async moved(name: string): Promise<void> {
    this.lose(name)
    const tunnel = this.#tunnel
    if (tunnel === null || (await tunnel.answers())) return
    tunnel.withdraw(name, new NearportError('peer-gone', `the process that served "${name}" was started again`))
  }

  /** The mux of a name; makes the link if there is none. Rejects with why it cannot be had now. */
  mux(name: string): Promise<Mux> {
    this.#connect()
    const known = this.#muxes.get(name)
    if (known !== undefined) return known
    const muxes = this.#muxes
    const mux = this.#open(this.#ensureTunnel(), name)
    muxes.set(name, mux)
    // A refused or ended channel is asked for again at the next job.
    const drop = () => muxes.delete(name)
    mux.then((opened) => opened.closed.then(drop), drop)
    return mux
  }

  /** Nothing is sent before its owner is known: the identity was proven by the link, and says that it serves the name. */
  async #open(tunnel: Tunnel, name: string): Promise<Mux> {
    const mux = await tunnel.open(name)
    try {
      await this.#node.owners.remember(name, this.#owner)
    } catch (error) {
      // Why is not for the other side.
      tunnel.withdraw(name, new NearportError('peer-reset', `"${name}" is not used from this peer`))
      this.onrefused(name)
      throw asNearportError(error)
    }
    return mux
  }

  /** What was said before over a lost connection to the server may never have arrived: an unfinished link begins anew. */
  renegotiate(): void {
    if (this.#readySince !== null) return
    this.#link?.abandon(new NearportError('server-unreachable', 'the server was lost while the link was negotiated'))
  }

  async close(reason: NearportError): Promise<void> {
    this.#wanted = false
    clearTimeout(this.#retry)
    await this.#link?.close(reason)
    this.#tunnel?.close(reason)
  }

  #giveUpUnwanted(): void {
    if (this.#names.size > 0 || this.#onstatus !== null) return
    this.#wanted = false
    clearTimeout(this.#retry)
  }

  /** Once for each link. */
  #ask(): void {
    if (this.#link === null || this.#onstatus === null || this.#status !== null) return
    const status = new FarStatus()
    this.#status = status
    this.#link.follow((news) => {
      status.receive(news)
      this.#onstatus?.(status)
    })
  }

  #ensureTunnel(): Tunnel {
    if (this.#tunnel?.isClosed === false) return this.#tunnel
    const tunnel = new Tunnel(null, this.#node.grace)
    this.#tunnel = tunnel
    this.#muxes = new Map()
    tunnel.closed.then(() => {
      if (this.#tunnel !== tunnel) return
      this.#tunnel = null
      this.#muxes = new Map()
    })
    return tunnel
  }

  #connect(): void {
    if (this.#link !== null) return
    clearTimeout(this.#retry)
    const session = nanoid()
    let link: Link
    try {
      link = this.#make(session, this.#ensureTunnel())
    } catch (error) {
      // The engine makes none, for want of files perhaps: it is tried again, as after any other failure.
      this.#ended(session, asNearportError(error))
      return
    }
    this.#link = link
    this.#readySince = null
    this.#sessions.set(session, link)
    link.ready.then(
      () => {
        this.#readySince = performance.now()
      },
      () => undefined,
    )
    link.closed.then((reason) => this.#ended(session, reason))
    this.#ask()
  }

  #make(session: string, tunnel: Tunnel): Link {
    const { peer, identity, networkKey, engine, signaling, log, nat } = this.#node
    const remote = { peer: this.peer, identity: this.#owner }
    return new Link({
      role: 'access',
      session,
      self: { peer, identity },
      remote,
      networkKey,
      sealer: Sealer.forSession(networkKey, session),
      engine,
      stunUrl: signaling.stunUrl(),
      sendSignal: (box) => signaling.signal(session, remote, box),
      deadline: this.#deadline(tunnel.streams),
      asks: { id: tunnel.id, slot: this.#slot, ended: this.#node.predecessors },
      tunnel: () => {
        if (tunnel.isClosed) throw new NearportError('link-lost', 'its connections were given up meanwhile')
        return tunnel
      },
      nat,
      log,
    })
  }

  #ended(session: string, reason: NearportError): void {
    const { log, signaling } = this.#node
    this.#link = null
    this.#status = null
    this.#onstatus?.(null)
    this.#sessions.delete(session)
    signaling.end(session)
    this.#tunnel?.failUnopened(reason)
    const waiting = this.streams
    const wait = this.#wanted ? this.#wait(reason, waiting) : null
    const fields = { peer: this.peer, owner: shortIdentity(this.#owner), ...explained(reason), waiting, retryMs: wait }
    log[reason.code === 'shutting-down' ? 'info' : 'warn'](fields, 'link closed')
    if (wait === null) return
    this.#retry = setTimeout(() => {
      this.#connect()
      for (const name of this.#names) this.keep(name)
    }, wait)
  }

  /** ms for a link to become ready */
  #deadline(waiting: number): number {
    this.#attempts = waiting > 0 ? this.#attempts + 1 : 0
    return waiting > 0 ? Math.min(LIMITS.linkDeadlineHeld * this.#attempts, LIMITS.linkDeadline) : LIMITS.linkDeadline
  }

  /** ms until the next attempt: at once after a link that held, so that its connections do not wait. */
  #wait({ code }: NearportError, waiting: number): number {
    if (this.#readySince !== null && performance.now() - this.#readySince > LIMITS.linkSilence) {
      this.#backoff.reset()
      this.#attempts = 0
      if (code === 'link-lost') return 0
    }
    return Math.round(Math.min(this.#backoff.next(), waiting > 0 ? LIMITS.reconnectHeld : LIMITS.reconnectMost))
  }
}
