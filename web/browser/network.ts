/** A page among the peers of a network. */
import { Access } from '../../shared/access.ts'
import { fromBase64Url } from '../../shared/bytes.ts'
import { NearportError } from '../../shared/errors.ts'
import { Following } from '../../shared/following.ts'
import { LIMITS } from '../../shared/limits.ts'
import { parseName } from '../../shared/names.ts'
import type { PeerNode } from '../../shared/node.ts'
import type { MuxStream } from '../../shared/stream.ts'
import { abortable } from './abortable.ts'
import type { Connection, Live, Network, OpenOptions, PathView, PeerView, ShareView } from './api.ts'
import { StreamConnection } from './connection.ts'
import { pathOf } from './engine.ts'
import { LiveValue } from './live.ts'
import type { PageOwners } from './owners.ts'
import { Statuses } from './statuses.ts'
import { peerViews, shareViews } from './views.ts'

export class PageNetwork implements Network {
  readonly peer: string
  readonly identity: string
  readonly #node: PeerNode
  readonly #access: Access
  readonly #owners: PageOwners
  readonly #leave: () => Promise<void>
  readonly #state: LiveValue<boolean>
  readonly #shares = new LiveValue<readonly ShareView[]>([])
  readonly #peers = new LiveValue<readonly PeerView[]>([])
  #following: Following | null = null
  /** Names that were asked for, until the server knows that we watch them. */
  readonly #adding = new Map<string, Promise<unknown>>()
  #closing: Promise<void> | null = null

  /** `leave`: to be called at the end. */
  constructor(node: PeerNode, owners: PageOwners, leave: () => Promise<void>) {
    this.#node = node
    this.#owners = owners
    this.#leave = leave
    this.#access = new Access(node)
    this.peer = node.peer
    this.identity = node.identity.publicKey
    this.#state = new LiveValue(node.signaling.connected)
    node.signaling.onstate = (connected) => this.#state.set(connected)
    addEventListener('pagehide', this.#hide)
  }

  get connected(): boolean {
    return this.#state.current
  }

  shares(): Live<readonly ShareView[]> {
    this.#follow()
    return this.#shares
  }

  peers(): Live<readonly PeerView[]> {
    this.#follow()
    return this.#peers
  }

  state(): Live<boolean> {
    return this.#state
  }

  async open(name: string, { signal }: OpenOptions = {}): Promise<Connection> {
    const opened = this.#open(parseName(name))
    const stream = await abortable(opened, signal, (late) => late.reset('peer-reset', 'the page waited no longer'))
    return new StreamConnection(name, stream)
  }

  async path(name: string): Promise<PathView | null> {
    const connection = this.#access.connection(parseName(name))
    return connection && pathOf(connection)
  }

  async trust(name: string, owner: string): Promise<void> {
    await this.#owners.replace(parseName(name), parseIdentity(owner))
    await this.#access.recheck(name)
  }

  close(): Promise<void> {
    this.#closing ??= this.#end().then(this.#leave)
    return this.#closing
  }

  /** The page goes away, and has only this turn. */
  readonly #hide = () => {
    const until = performance.now() + (this.#access.streams > 0 ? LIMITS.pageLeaving : 0)
    this.#closing ??= this.#end()
    // Behind a job under way what was just said has not left yet, and the connections go with the page.
    while (performance.now() < until);
  }

  async #end(): Promise<void> {
    removeEventListener('pagehide', this.#hide)
    await Promise.all([this.#access.close(closed()), this.#node.signaling.close()])
    this.#state.set(false)
  }

  async #open(name: string): Promise<MuxStream> {
    if (this.#closing !== null) throw closed()
    if (!this.#access.has(name)) this.#adding.set(name, this.#access.add(name))
    try {
      await this.#adding.get(name)
    } finally {
      this.#adding.delete(name)
    }
    return this.#access.open(name)
  }

  /** Only for a page that shows it: the server has work with it. */
  #follow(): void {
    if (this.#following !== null) return
    const following = new Following()
    this.#following = following
    const statuses = new Statuses(this.#access)
    const show = () => {
      this.#shares.set(shareViews(following, statuses.known, this.#owners.known))
      this.#peers.set(peerViews(following, statuses.known))
    }
    following.onchange = () => {
      statuses.update(following)
      show()
    }
    statuses.onchange = show
    this.#owners.onchange = show
    following.onrefused = ({ code, message }) =>
      this.#node.log.warn({ code, reason: message }, 'the shares of the network are not known')
    this.#node.signaling.follow(following)
  }
}

function parseIdentity(text: string): string {
  if (fromBase64Url(text)?.length === 32) return text
  throw new NearportError('usage', 'an owner is an identity: 32 bytes in base64url')
}

const closed = () => new NearportError('shutting-down', 'this page has left the network')
