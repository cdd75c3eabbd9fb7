/** The access side's view of one share peer: it keeps a link to it while it is wanted, and the muxes on that link. */
import { nanoid } from 'nanoid'
import { Backoff } from './backoff.ts'
import { shortIdentity } from './crypto.ts'
import { type ErrorCode, explained, type NearportError } from './errors.ts'
import { Link } from './link.ts'
import type { Mux } from './mux.ts'
import type { PeerNode } from './node.ts'

const ABOUT_THE_NAME: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['name-offline', 'displaced', 'too-many-shares'])

export class FarPeer {
  readonly peer: string
  readonly #owner: string
  readonly #node: PeerNode
  readonly #backoff = new Backoff()
  readonly #sessions: Map<string, Link>
  /** Names to open as soon as a link is there, so that the first job does not wait. */
  readonly #names = new Set<string>()
  #link: Link | null = null
  #muxes = new Map<string, Promise<Mux>>()
  #retry: ReturnType<typeof setTimeout> | undefined
  #wanted = true

  /** `sessions`: where the signals for a link are looked up by session id. */
  constructor(node: PeerNode, peer: string, owner: string, sessions: Map<string, Link>) {
    this.#node = node
    this.peer = peer
    this.#owner = owner
    this.#sessions = sessions
  }

  /** A link is there or is being made. */
  get active(): boolean {
    return this.#link !== null
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
    if (this.#names.size > 0) return
    this.#wanted = false
    clearTimeout(this.#retry)
  }

  /** The mux of a name; makes the link if there is none. Rejects with why it cannot be had now. */
  mux(name: string): Promise<Mux> {
    const link = this.#connect()
    const muxes = this.#muxes
    const known = muxes.get(name)
    if (known !== undefined) return known
    const mux = link.open(name)
    muxes.set(name, mux)
    // A refused or ended channel is asked for again at the next job.
    const drop = () => muxes.delete(name)
    mux.then((opened) => opened.closed.then(drop), drop)
    return mux
  }

  async close(reason: NearportError): Promise<void> {
    this.#wanted = false
    clearTimeout(this.#retry)
    await this.#link?.close(reason)
  }

  #connect(): Link {
    if (this.#link !== null) return this.#link
    clearTimeout(this.#retry)
    const { peer, identity, networkKey, sealer, engine, signaling, log, nat } = this.#node
    const session = nanoid()
    const link = new Link({
      role: 'access',
      session,
      self: { peer, identity },
      remote: { peer: this.peer, identity: this.#owner },
      networkKey,
      sealer,
      engine,
      stunUrl: signaling.stunUrl(),
      sendSignal: (box) => signaling.signal(session, this.peer, box),
      accept: null,
      nat,
      log,
    })
    this.#link = link
    this.#muxes = new Map()
    this.#sessions.set(session, link)
    link.ready.then(
      () => this.#backoff.reset(),
      () => undefined,
    )
    link.closed.then((reason) => this.#ended(session, reason))
    return link
  }

  #ended(session: string, reason: NearportError): void {
    const { log, signaling } = this.#node
    this.#link = null
    this.#sessions.delete(session)
    signaling.end(session)
    const wait = this.#wanted ? this.#backoff.next() : null
    log[reason.code === 'shutting-down' ? 'info' : 'warn'](
      { peer: this.peer, owner: shortIdentity(this.#owner), ...explained(reason), retryMs: wait },
      'link closed',
    )
    if (wait === null) return
    this.#retry = setTimeout(() => {
      for (const name of this.#names) this.keep(name)
    }, wait)
  }
}
