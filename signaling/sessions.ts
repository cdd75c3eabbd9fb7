/** Sessions: what lets two peers, and only these two, send each other sealed messages through the server. */
import type { ErrorCode } from '../shared/errors.ts'
import type { Limits } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import type { ClientMessage } from '../shared/messages.ts'
import { type PeerRef, peerKey } from '../shared/peer-key.ts'
import type { Member } from './member.ts'
import { Quota } from './quota.ts'

type Signal = Extract<ClientMessage, { type: 'signal' }>

interface Session {
  readonly id: string
  readonly members: readonly [Member, Member]
  /** ms, of performance.now() */
  usedAt: number
}

export class Sessions {
  readonly #find: (to: PeerRef) => Member | undefined
  readonly #limits: Limits
  readonly #log: Log
  readonly #sessions = new Map<string, Session>()
  readonly #sessionsOf = new Map<Member, Set<Session>>()
  readonly #quota: Quota
  /** What others have begun with a member. */
  readonly #quotaWith = new Map<Member, Quota>()
  /** How many a member has begun. */
  readonly #begun = new Map<Member, number>()
  readonly #sweeper: NodeJS.Timeout

  constructor(find: (to: PeerRef) => Member | undefined, limits: Limits, log: Log) {
    this.#find = find
    this.#limits = limits
    this.#log = log
    this.#quota = new Quota(limits.sessions, limits.sessionsPerIdentity)
    this.#sweeper = setInterval(() => this.#forgetIdle(), limits.sessionIdle / 4)
    this.#sweeper.unref()
  }

  get size(): number {
    return this.#sessions.size
  }

  signal(from: Member, { session: id, to: peer, owner: identity, box }: Signal): void {
    const to = { peer, identity }
    const session = this.#sessions.get(id) ?? this.#open(from, id, to)
    if (session === null) return
    const other = otherMember(session, from)
    if (other === null || peerKey(other) !== peerKey(to)) {
      this.#log.warn({ peer: from.peer, session: id }, 'a peer used a session that is not of these two peers')
      // A stranger to the session learns nothing of it; a member that mixes up its sessions loses this one.
      if (other === null) from.send({ type: 'ended', session: id, code: 'peer-gone' })
      else this.#end(session, 'peer-gone', session.members)
      return
    }
    session.usedAt = performance.now()
    other.send({ type: 'signal', session: id, from: from.peer, owner: from.identity, box })
  }

  /** Both may end a session at the same time: an unknown one is no error, and another's is left alone. */
  end(from: Member, id: string): void {
    const session = this.#sessions.get(id)
    const other = session === undefined ? null : otherMember(session, from)
    if (session !== undefined && other !== null) this.#end(session, 'peer-gone', [other])
  }

  leave(member: Member): void {
    for (const session of [...(this.#sessionsOf.get(member) ?? [])]) {
      const other = otherMember(session, member)
      this.#end(session, 'peer-gone', other === null ? [] : [other])
    }
  }

  stop(): void {
    clearInterval(this.#sweeper)
  }

  #open(from: Member, id: string, to: PeerRef): Session | null {
    const other = this.#find(to)
    const refusal = this.#refusal(from, other)
    if (other === undefined || refusal !== null) {
      from.send({ type: 'ended', session: id, code: refusal ?? 'peer-gone' })
      return null
    }
    const session: Session = { id, members: [from, other], usedAt: performance.now() }
    this.#sessions.set(id, session)
    for (const member of session.members) {
      const sessions = this.#sessionsOf.get(member)
      if (sessions === undefined) this.#sessionsOf.set(member, new Set([session]))
      else sessions.add(session)
    }
    this.#quota.take(from)
    this.#incoming(other).take(from)
    this.#begun.set(from, (this.#begun.get(from) ?? 0) + 1)
    return session
  }

  #refusal(from: Member, to: Member | undefined): ErrorCode | null {
    if (to === undefined || to === from) return 'peer-gone'
    if ((this.#begun.get(from) ?? 0) >= this.#limits.sessionsPerConnection) return 'server-busy'
    return this.#quota.hasRoomFor(from) && this.#incoming(to).hasRoomFor(from) ? null : 'server-busy'
  }

  #incoming(member: Member): Quota {
    let quota = this.#quotaWith.get(member)
    if (quota === undefined) {
      quota = new Quota(this.#limits.sessionsPerConnection, this.#limits.sessionsWithOne)
      this.#quotaWith.set(member, quota)
    }
    return quota
  }

  #end(session: Session, code: ErrorCode, tell: readonly Member[]): void {
    const [from, to] = session.members
    this.#sessions.delete(session.id)
    for (const member of session.members) {
      const sessions = this.#sessionsOf.get(member)
      sessions?.delete(session)
      if (sessions?.size === 0) this.#sessionsOf.delete(member)
    }
    this.#quota.give(from)
    const incoming = this.#incoming(to)
    incoming.give(from)
    if (incoming.held === 0) this.#quotaWith.delete(to)
    const begun = (this.#begun.get(from) ?? 0) - 1
    if (begun <= 0) this.#begun.delete(from)
    else this.#begun.set(from, begun)
    for (const member of tell) member.send({ type: 'ended', session: session.id, code })
  }

  #forgetIdle(): void {
    const oldest = performance.now() - this.#limits.sessionIdle
    for (const session of [...this.#sessions.values()]) if (session.usedAt < oldest) this.#end(session, 'peer-gone', [])
  }
}

function otherMember({ members: [a, b] }: Session, member: Member): Member | null {
  if (member === a) return b
  return member === b ? a : null
}
