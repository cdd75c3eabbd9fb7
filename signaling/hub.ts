/** The admitted peers, and what is done for each message they send. */
import { asNearportError, NearportError } from '../shared/errors.ts'
import type { Limits } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import { type ClientMessage, ENTRIES_PER_MESSAGE } from '../shared/messages.ts'
import { peerKey } from '../shared/peer-key.ts'
import { Budget } from './budget.ts'
import { Followers } from './followers.ts'
import type { Holds } from './holds.ts'
import type { Member } from './member.ts'
import { Names } from './names.ts'
import { parts } from './parts.ts'
import { Quota } from './quota.ts'
import { Reservations } from './reservations.ts'
import { Sessions } from './sessions.ts'
import type { Store } from './store.ts'
import { Turns } from './turns.ts'

/** What a peer may send once admitted. */
export type MemberMessage = Exclude<ClientMessage, { type: 'hello' | 'admit' }>
type RequestMessage = Extract<MemberMessage, { request: number }>

export class Hub {
  /** By peerKey. */
  readonly #members = new Map<string, Member>()
  /** Members a list is being sent to. */
  readonly #listing = new WeakSet<Member>()
  readonly #reservations: Reservations
  readonly #names: Names
  readonly #sessions: Sessions
  readonly #followers: Followers
  readonly #holds: Holds
  readonly #connections: Quota
  readonly #budget: Budget
  readonly #turns = new Turns()
  readonly #log: Log

  constructor(store: Store, holds: Holds, limits: Limits, log: Log) {
    this.#connections = new Quota(limits.signalingConnections, limits.connectionsPerIdentity)
    this.#budget = new Budget(limits)
    this.#reservations = new Reservations(store, limits)
    this.#names = new Names(this.#reservations, holds, limits)
    this.#sessions = new Sessions((to) => this.#members.get(peerKey(to)), limits, log)
    this.#followers = new Followers(this.#names, this.#members, this.#turns, limits)
    this.#names.onchange = (name) => this.#followers.nameChanged(name)
    this.#holds = holds
    this.#log = log
  }

  get peers(): number {
    return this.#members.size
  }

  get names(): number {
    return this.#names.size
  }

  get sessions(): number {
    return this.#sessions.size
  }

  /** Throws `too-many-connections` at the limit. */
  join(member: Member): void {
    const older = this.#members.get(peerKey(member))
    if (older === undefined && !this.#connections.hasRoomFor(member)) {
      throw new NearportError(
        'too-many-connections',
        'this server has no room for more peers of this environment or address',
      )
    }
    older?.cutOff(new NearportError('displaced', 'this peer has connected anew'))
    this.#connections.take(member)
    this.#members.set(peerKey(member), member)
    this.#followers.peerChanged(member)
  }

  leave(member: Member): void {
    this.#members.delete(peerKey(member))
    this.#connections.give(member)
    this.#followers.leave(member)
    this.#followers.peerChanged(member)
    this.#sessions.leave(member)
    this.#names.leave(member)
  }

  /** Counts one message of a member; false when its environment or its address has caused too many. */
  count(member: Member): boolean {
    return this.#budget.spend(member, 1)
  }

  handle(member: Member, message: MemberMessage): void {
    switch (message.type) {
      case 'ping':
        member.send({ type: 'pong' })
        break
      case 'signal':
        this.#sessions.signal(member, message)
        break
      case 'end':
        this.#sessions.end(member, message.session)
        break
      case 'health':
        this.#names.keepHealth(member, message.name, message.box)
        break
      default:
        // It answers every error itself, so nothing is left to be caught here.
        void this.#answer(member, message)
    }
  }

  /** Resolves when every write is on disk or has failed. */
  async stop(): Promise<void> {
    this.#sessions.stop()
    this.#followers.stop()
    this.#budget.stop()
    await Promise.all([this.#reservations.settled(), this.#holds.stop()])
  }

  async #answer(member: Member, message: RequestMessage): Promise<void> {
    const { request, type } = message
    try {
      await this.#perform(member, message)
    } catch (error) {
      const { code, message: text } = asNearportError(error)
      const level = code === 'internal' || code === 'store-failed' ? 'error' : 'info'
      this.#log[level]({ peer: member.peer, type, code, reason: text }, 'refused a request')
      member.send({ type: 'refused', request, code, message: code === 'internal' ? 'the server failed' : text })
    }
  }

  async #perform(member: Member, message: RequestMessage): Promise<void> {
    const { request } = message
    const caused = this.#causes(message)
    if (caused > 0 && !this.#budget.spend(member, caused)) {
      throw new NearportError('rate-limited', 'this environment or its address made the server send too many messages')
    }
    switch (message.type) {
      case 'reserve':
        await this.#names.reserve(member, message.name, message.mode)
        break
      case 'release':
        await this.#names.release(member, message.name)
        break
      case 'claim':
        this.#names.claim(member, message.name, message.ephemeral)
        break
      case 'unclaim':
        this.#names.unclaim(member, message.name)
        break
      case 'unwatch':
        this.#names.unwatch(member, message.name)
        break
      case 'watch':
        this.#names.watch(member, message.name)
        member.send({ type: 'ok', request })
        member.send(this.#names.presence(message.name))
        return
      case 'follow':
        await this.#followers.follow(member)
        break
      case 'list':
        await this.#list(member, request)
        break
      default:
        message satisfies never
    }
    member.send({ type: 'ok', request })
  }

  /** How many messages the server sends because of a request. */
  #causes(message: RequestMessage): number {
    switch (message.type) {
      case 'list':
        return Math.ceil(this.#names.size / ENTRIES_PER_MESSAGE)
      case 'follow':
        return Math.ceil((this.#names.size + this.#members.size) / ENTRIES_PER_MESSAGE)
      case 'watch':
      case 'unwatch':
        return 0
      default:
        return this.#names.watchersOf(message.name)
    }
  }

  /** Sends the next part only when the network took the last, so that a long list does not become a backlog. */
  async #list(member: Member, request: number): Promise<void> {
    if (this.#listing.has(member)) throw new NearportError('server-busy', 'the last list is still being sent')
    this.#listing.add(member)
    try {
      for (const part of parts(this.#names.all())) {
        const shares = part.map(({ name, owner, reserved, peer }) => ({
          name,
          online: peer !== null,
          reserved,
          mode: 'tcpTunnel' as const,
          owner,
          peer,
          health: this.#names.health(name),
        }))
        await member.deliver({ type: 'shares', request, shares })
        await this.#turns.next()
      }
    } finally {
      this.#listing.delete(member)
    }
  }
}
