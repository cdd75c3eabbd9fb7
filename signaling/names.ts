/** Which connection serves which name, and who wants to know. */
import { NearportError } from '../shared/errors.ts'
import type { Limits } from '../shared/limits.ts'
import type { Presence, ShareChange } from '../shared/messages.ts'
import type { Holds } from './holds.ts'
import type { Member } from './member.ts'
import { Quota } from './quota.ts'
import type { Reservations } from './reservations.ts'

export class Names {
  /** Something about a name is not as it was. */
  onchange: (name: string) => void = () => undefined
  readonly #reservations: Reservations
  readonly #holds: Holds
  readonly #limits: Limits
  readonly #serving = new Map<string, Member>()
  /** The last health of each name that is served, sealed: nothing this server could read. */
  readonly #healths = new Map<string, string>()
  readonly #watchers = new Map<string, Set<Member>>()
  readonly #claimsOf = new Map<Member, Set<string>>()
  readonly #watchesOf = new Map<Member, Set<string>>()
  readonly #watches: Quota
  /** Names that are served without being reserved when they were claimed, and by whom. */
  readonly #ephemeral = new Map<string, Member>()
  readonly #ephemeralNames: Quota

  constructor(reservations: Reservations, holds: Holds, limits: Limits) {
    this.#reservations = reservations
    this.#holds = holds
    this.#limits = limits
    this.#watches = new Quota(limits.watches, limits.watchesPerIdentity)
    this.#ephemeralNames = new Quota(limits.ephemeralNames, limits.ephemeralPerIdentity)
  }

  /** Names that are reserved or served. */
  get size(): number {
    let size = this.#reservations.all().size
    for (const name of this.#serving.keys()) if (this.#reservations.get(name) === undefined) size++
    return size
  }

  /** Resolves once it is on disk. Throws `name-taken`, `too-many-names`, `store-failed`. */
  async reserve(member: Member, name: string, mode: 'tcpTunnel'): Promise<void> {
    const isFree = () => (this.#servedFor(name) ?? member.identity) === member.identity
    const before = this.presence(name)
    await this.#reservations.reserve(name, { owner: member.identity, mode }, member.source, isFree)
    this.#holds.giveUp(name)
    this.#announceChange(before)
    this.onchange(name)
  }

  /** Resolves once it is on disk; who served the name is told. Throws `name-unknown`, `not-owner`, `store-failed`. */
  async release(member: Member, name: string): Promise<void> {
    await this.#reservations.release(name, member.identity)
    const server = this.#serving.get(name)
    if (server !== undefined) {
      this.#withdraw(server, name)
      server.send({ type: 'displaced', name })
    }
    this.#announce(name)
  }

  /**
   * The newest claim of an identity wins: a process that comes back must not wait for its old connection to be
   * noticed as dead. Throws `name-unknown`, `not-owner`, `name-taken`, `too-many-names`.
   */
  claim(member: Member, name: string, ephemeral: boolean): void {
    this.#checkClaim(member, name, ephemeral)
    const before = this.presence(name)
    const older = this.#serving.get(name)
    if (older !== undefined && older !== member) {
      this.#withdraw(older, name)
      older.send({ type: 'displaced', name })
    }
    add(this.#claimsOf, member, name)
    if (ephemeral && !this.#ephemeral.has(name)) {
      this.#ephemeral.set(name, member)
      this.#ephemeralNames.take(member)
    }
    this.#serving.set(name, member)
    if (ephemeral) this.#holds.serve(name, member.identity)
    this.#announceChange(before)
  }

  /** Does nothing when the member does not serve the name (any more). */
  unclaim(member: Member, name: string): void {
    if (this.#serving.get(name) !== member) return
    this.#withdraw(member, name)
    this.#holds.giveUp(name)
    this.#announce(name)
  }

  /** Does nothing when the member does not serve the name (any more). */
  keepHealth(member: Member, name: string, box: string): void {
    if (this.#serving.get(name) === member) this.#healths.set(name, box)
  }

  /** Of a name that is served, sealed; null before its peer has told. */
  health(name: string): string | null {
    return this.#healths.get(name) ?? null
  }

  /** Throws `too-many-names`. */
  watch(member: Member, name: string): void {
    const watched = this.#watchesOf.get(member)
    this.#checkRoom(watched, name, 'watch')
    if (watched?.has(name) === true) return
    if (!this.#watches.hasRoomFor(member)) throw tooMany('watch')
    this.#watches.take(member)
    add(this.#watchesOf, member, name)
    add(this.#watchers, name, member)
  }

  /** How many are told when the name changes. */
  watchersOf(name: string): number {
    return this.#watchers.get(name)?.size ?? 0
  }

  unwatch(member: Member, name: string): void {
    if (this.#watchesOf.get(member)?.has(name) !== true) return
    this.#watches.give(member)
    remove(this.#watchesOf, member, name)
    remove(this.#watchers, name, member)
  }

  leave(member: Member): void {
    for (const name of [...(this.#watchesOf.get(member) ?? [])]) this.unwatch(member, name)
    const served = [...(this.#claimsOf.get(member) ?? [])]
    for (const name of served) {
      this.#withdraw(member, name)
      this.#holds.lose(name)
    }
    for (const name of served) this.#announce(name)
  }

  presence(name: string): Presence {
    const server = this.#serving.get(name)
    const owner = this.#reservations.get(name)?.owner
    if (server !== undefined) {
      return { type: 'presence', name, state: 'online', peer: server.peer, owner: server.identity }
    }
    if (owner !== undefined) return { type: 'presence', name, state: 'offline', peer: null, owner }
    return { type: 'presence', name, state: 'unknown', peer: null, owner: null }
  }

  /** All reserved and all served names; one that goes away while they are read is left out. */
  *all(): Generator<ShareChange & { readonly owner: string }> {
    const names = new Set([...this.#reservations.all().keys(), ...this.#serving.keys()])
    for (const name of names) {
      const { owner, ...share } = this.share(name)
      if (owner !== null) yield { ...share, owner }
    }
  }

  share(name: string): ShareChange {
    const reservation = this.#reservations.get(name)
    const server = this.#serving.get(name)
    const owner = reservation?.owner ?? server?.identity ?? null
    return { name, owner, reserved: reservation !== undefined, peer: server?.peer ?? null }
  }

  #checkClaim(member: Member, name: string, ephemeral: boolean): void {
    const owner = this.#reservations.get(name)?.owner
    if (ephemeral) {
      const holder = this.#reservations.owner(name) ?? this.#servedFor(name)
      const mine = owner === undefined && (holder ?? member.identity) === member.identity
      if (!mine) throw new NearportError('name-taken', `the name ${name} is taken`)
    } else if (owner === undefined) {
      throw new NearportError('name-unknown', `the name ${name} is not reserved`)
    } else if (owner !== member.identity) {
      throw new NearportError('not-owner', `the name ${name} is reserved by another environment`)
    }
    this.#checkRoom(this.#claimsOf.get(member), name, 'serve')
    // Whoever serves it of the same identity gives its place to the newer one.
    if (ephemeral && !this.#ephemeral.has(name) && !this.#ephemeralNames.hasRoomFor(member)) throw tooMany('serve')
  }

  /** The identity that serves a name, or served it a moment ago. */
  #servedFor(name: string): string | undefined {
    return this.#serving.get(name)?.identity ?? this.#holds.holder(name)
  }

  #checkRoom(names: ReadonlySet<string> | undefined, name: string, what: string): void {
    if (names === undefined || names.has(name) || names.size < this.#limits.namesPerConnection) return
    throw new NearportError('too-many-names', `a connection may ${what} ${this.#limits.namesPerConnection} names`)
  }

  #withdraw(member: Member, name: string): void {
    this.#serving.delete(name)
    this.#healths.delete(name)
    const ephemeral = this.#ephemeral.get(name)
    if (ephemeral !== undefined) this.#ephemeralNames.give(ephemeral)
    this.#ephemeral.delete(name)
    remove(this.#claimsOf, member, name)
  }

  #announceChange(before: Presence): void {
    const now = this.presence(before.name)
    const same = now.state === before.state && now.peer === before.peer && now.owner === before.owner
    if (!same) this.#announce(before.name)
  }

  #announce(name: string): void {
    this.onchange(name)
    const presence = this.presence(name)
    // A watcher whose backlog is full is cut off by send, and leaves this very set.
    for (const watcher of [...(this.#watchers.get(name) ?? [])]) watcher.send(presence)
  }
}

const tooMany = (what: string) =>
  new NearportError('too-many-names', `this environment, its address or all together ${what} too many names already`)

function add<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([value]))
  else set.add(value)
}

function remove<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key)
  if (set?.delete(value) && set.size === 0) sets.delete(key)
}
