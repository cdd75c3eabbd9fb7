/** The share side: it claims names, accepts links from access peers, and hands their streams to the targets. */
import { Sealer, shortIdentity } from './crypto.ts'
import { asNearportError, explained, NearportError } from './errors.ts'
import { HealthReports } from './health-reports.ts'
import { LIMITS } from './limits.ts'
import { Link } from './link.ts'
import type { Follower } from './link-status.ts'
import type { SignalMessage } from './messages.ts'
import type { PeerNode } from './node.ts'
import { peerKey } from './peer-key.ts'
import type { LinkView, ShareStatus } from './status.ts'
import { StatusBoard } from './status-board.ts'
import type { MuxStream } from './stream.ts'
import { Tunnels } from './tunnels.ts'

/** What is served under a name. */
export interface Service {
  /** Takes each stream, and sets its callbacks at once. */
  accept(stream: MuxStream): void
  status(): ShareStatus
  /** To be called when the health is another; set by who serves it. */
  onhealth: () => void
}

export class Share {
  /** A name is served here no longer, because of someone else. */
  ondisplaced: (name: string, reason: NearportError) => void = () => undefined

  readonly #node: PeerNode
  readonly #served = new Map<string, Service>()
  readonly #sessions = new Map<string, Link>()
  /** Sessions that were, so that a replayed offer is not answered; a Set keeps the oldest first. */
  readonly #seen = new Set<string>()
  readonly #tunnels: Tunnels
  readonly #board = new StatusBoard({ names: () => this.#statuses(), links: () => this.#links() })

  readonly #reports: HealthReports

  constructor(node: PeerNode) {
    this.#node = node
    const health = () => new Map([...this.#served].map(([name, service]) => [name, service.status().health]))
    this.#reports = new HealthReports(node, health)
    this.#tunnels = new Tunnels((name) => this.#acceptor(name), node.grace)
    node.signaling.onsignal = (signal) => this.#receive(signal)
    node.signaling.onended = ({ session, code }) => {
      this.#sessions.get(session)?.abandon(new NearportError(code, 'the signaling server ended the negotiation'))
    }
    node.signaling.ondisplaced = (name, reason) => {
      this.#withdraw(name, reason)
      this.ondisplaced(name, reason)
    }
  }

  /** Rejects with why the server refused. */
  async serve(name: string, ephemeral: boolean, service: Service): Promise<void> {
    this.#served.set(name, service)
    try {
      await this.#node.signaling.claim(name, { ephemeral })
    } catch (error) {
      this.#served.delete(name)
      throw error
    }
    service.onhealth = () => this.#reports.report(name)
    this.#reports.report(name)
  }

  /** Gives up every name and ends every link. */
  async close(reason: NearportError): Promise<void> {
    this.#reports.stop()
    const names = [...this.#served.keys()]
    this.#served.clear()
    const links = [...this.#sessions.values()].map((link) => link.close(reason))
    this.#tunnels.close(reason)
    await Promise.all([...links, ...names.map((name) => this.#node.signaling.unclaim(name))])
  }

  #acceptor(name: string): ((stream: MuxStream) => void) | null {
    const service = this.#served.get(name)
    return service === undefined ? null : (stream) => service.accept(stream)
  }

  *#statuses(): Generator<readonly [string, ShareStatus]> {
    for (const [name, service] of this.#served) yield [name, service.status()]
  }

  /** Those of one peer together; the path and the round trip are of the newest. */
  #links(): Iterable<LinkView> {
    const views = new Map<string, LinkView>()
    for (const link of this.#sessions.values()) {
      const view = link.view()
      if (view === null) continue
      const key = peerKey(view)
      const bytes = view.bytes + (views.get(key)?.bytes ?? 0)
      views.set(key, { ...view, streams: this.#tunnels.streams(view.peer, view.identity), bytes })
    }
    return views.values()
  }

  #withdraw(name: string, reason: NearportError): void {
    this.#served.delete(name)
    this.#tunnels.withdraw(name, reason)
  }

  #receive(signal: SignalMessage): void {
    const link = this.#sessions.get(signal.session)
    if (link !== undefined) link.receiveSignal(signal.box)
    else this.#receiveFirst(signal)
  }

  #receiveFirst(signal: SignalMessage): void {
    const { log, signaling } = this.#node
    const who = { peer: signal.from, owner: shortIdentity(signal.owner) }
    if (this.#seen.has(signal.session)) {
      log.warn({ ...who, code: 'signal-refused' }, 'a signal for a session that is over was dropped')
    } else if (this.#sessions.size >= LIMITS.linksPerProcess) {
      log.warn({ ...who, code: 'too-many-links' }, 'link refused')
      signaling.end(signal.session)
    } else {
      this.#make(signal).receiveSignal(signal.box)
    }
  }

  #make({ session, from, owner }: SignalMessage): Link {
    const { peer, identity, networkKey, engine, signaling, log, nat } = this.#node
    const remote = { peer: from, identity: owner }
    let follower: Follower | null = null
    const link = new Link({
      role: 'share',
      session,
      self: { peer, identity },
      remote,
      networkKey,
      sealer: Sealer.forSession(networkKey, session),
      engine,
      stunUrl: signaling.stunUrl(),
      sendSignal: (box) => signaling.signal(session, remote, box),
      asks: null,
      tunnel: (request) => {
        for (const killed of request.ended) this.#end(killed, owner)
        return this.#tunnels.take(from, owner, request)
      },
      onfollow: (asking) => {
        follower = asking
        this.#board.add(asking)
      },
      nat,
      log,
    })
    this.#remember(session)
    this.#sessions.set(session, link)
    link.closed.then((reason) => {
      this.#sessions.delete(session)
      if (follower !== null) this.#board.remove(follower)
      signaling.end(session)
      const level = reason.code === 'shutting-down' ? 'info' : 'warn'
      const waiting = this.#tunnels.streams(from, owner)
      log[level]({ peer: from, owner: shortIdentity(owner), ...explained(reason), waiting }, 'link closed')
    })
    return link
  }

  #end(peer: string, owner: string): void {
    this.#tunnels.end(peer, owner).catch((error: unknown) => {
      this.#node.log.error({ reason: asNearportError(error).message }, 'tunnel not ended')
    })
  }

  #remember(session: string): void {
    this.#seen.add(session)
    if (this.#seen.size <= LIMITS.rememberedSessions) return
    const [oldest] = this.#seen
    if (oldest !== undefined) this.#seen.delete(oldest)
  }
}
