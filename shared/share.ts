/** The share side: it claims names, accepts links from access peers, and hands their streams to the targets. */
import { Sealer, shortIdentity } from './crypto.ts'
import { asNearportError, explained, NearportError } from './errors.ts'
import { HealthReports } from './health-reports.ts'
import { LIMITS } from './limits.ts'
import { Link } from './link.ts'
import type { Follower } from './link-status.ts'
import type { SignalMessage } from './messages.ts'
import { opensFirst } from './negotiation.ts'
import type { PeerNode } from './node.ts'
import { Offers } from './offers.ts'
import { peerKey } from './peer-key.ts'
import { Places } from './places.ts'
import { Regulars } from './regulars.ts'
import type { LinkView, ShareStatus } from './status.ts'
import { StatusBoard } from './status-board.ts'
import type { MuxStream } from './stream.ts'
import { StreamPlaces } from './stream-places.ts'
import { Tally } from './tally.ts'
import { Tunnels } from './tunnels.ts'

/** What this process may have at once; see LIMITS.linksPerProcess and streamsPerProcess. */
export interface Capacity {
  readonly links: number
  readonly streams: number
}

export interface ShareOptions {
  /** Without it, the limits. */
  readonly capacity?: Capacity
  /** Those who were here before; without it, nobody was. */
  readonly regulars?: Regulars
}

/** What is served under a name. */
export interface Service {
  /**
   * Takes each stream, of this identity, and sets its callbacks at once. Resolves when nothing is held for it any more;
   * never rejects.
   */
  accept(stream: MuxStream, owner: string): Promise<unknown>
  status(): ShareStatus
  /** To be called when the health is another; set by who serves it. */
  onhealth: () => void
}

export class Share {
  /** A name is served here no longer, because of someone else. */
  ondisplaced: (name: string, reason: NearportError) => void = () => undefined

  readonly #node: PeerNode
  readonly #regulars: Regulars
  readonly #served = new Map<string, Service>()
  readonly #sessions = new Map<string, Link>()
  readonly #places: Places
  readonly #offers: Offers
  readonly #tunnels: Tunnels
  readonly #streams: StreamPlaces
  readonly #signals: Tally
  readonly #board = new StatusBoard({ names: () => this.#statuses(), links: () => this.#links() })
  readonly #reports: HealthReports

  constructor(node: PeerNode, { capacity, regulars = new Regulars() }: ShareOptions = {}) {
    const { links = LIMITS.linksPerProcess, streams = LIMITS.streamsPerProcess } = capacity ?? {}
    this.#node = node
    this.#regulars = regulars
    this.#places = new Places(links, regulars)
    this.#streams = new StreamPlaces(streams, regulars, node.log)
    this.#signals = new Tally(node.log, 'signals dropped')
    this.#offers = new Offers({
      places: new Places(Math.min(LIMITS.pendingLinks, links), regulars),
      tally: this.#signals,
      opens: (signal) => this.#opens(signal),
      make: (signal) => this.#make(signal),
      end: (session) => node.signaling.end(session),
    })
    const health = () => new Map([...this.#served].map(([name, service]) => [name, service.status().health]))
    this.#reports = new HealthReports(node, health)
    this.#tunnels = new Tunnels((name, owner) => this.#acceptor(name, owner), node.grace, links, regulars)
    node.signaling.onsignal = (signal) => this.#receive(signal)
    node.signaling.onended = ({ session, code }) => {
      this.#offers.ended(session)
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
    this.#offers.stop()
    const names = [...this.#served.keys()]
    this.#served.clear()
    const links = [...this.#sessions.values()].map((link) => link.close(reason))
    this.#tunnels.close(reason)
    this.#signals.stop()
    this.#streams.stop()
    await Promise.all([...links, ...names.map((name) => this.#node.signaling.unclaim(name))])
  }

  #acceptor(name: string, owner: string): ((stream: MuxStream) => void) | null {
    const service = this.#served.get(name)
    if (service === undefined) return null
    return (stream) => this.#streams.admit(stream, name, owner, () => service.accept(stream, owner))
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
    else this.#offers.receive(signal)
  }

  async #opens({ session, from, owner, box }: SignalMessage): Promise<boolean> {
    const { peer, identity, networkKey } = this.#node
    const self = { peer, identity: identity.publicKey }
    return opensFirst(await Sealer.forSession(networkKey, session), session, { peer: from, identity: owner }, self, box)
  }

  /** Throws `too-many-links`, or why the engine makes none. */
  #make(signal: SignalMessage): Link {
    const { owner } = signal
    if (!this.#places.take(owner)) throw new NearportError('too-many-links', 'there are as many links as may be')
    try {
      const link = this.#link(signal)
      link.ready.then(
        () => this.#regulars.add(owner),
        () => undefined,
      )
      link.closed.then(() => this.#places.give(owner))
      return link
    } catch (error) {
      this.#places.give(owner)
      throw error
    }
  }

  #link({ session, from, owner }: SignalMessage): Link {
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
}
