/** Which connection serves which name, and who wants to know. */
import { NearportError } from '../shared/errors.ts'
import type { Limits } from '../shared/limits.ts'
import type { Presence, ShareChange } from '../shared/messages.ts'
import type { Holds } from './holds.ts'
import type { Member } from './member.ts'
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

  constructor(reservations: Reservations, holds: Holds, limits: Limits) {
    this.#reservations = reservations
    this.#holds = holds
    this.#limits = limits
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
    await this.#reservations.reserve(name, { owner: member.identity, mode }, isFree)
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
    this.#checkRoom(this.#watchesOf.get(member), name, 'watch')
    add(this.#watchesOf, member, name)
    add(this.#watchers, name, member)
  }

  unwatch(member: Member, name: string): void {
    remove(this.#watchesOf, member, name)
    remove(this.#watchers, name, member)
  }

  leave(member: Member): void {
    for (const name of this.#watchesOf.get(member) ?? []) remove(this.#watchers, name, member)
    this.#watchesOf.delete(member)
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

function add<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([value]))
  else set.add(value)
}

function remove<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key)
  if (set?.delete(value) && set.size === 0) sets.delete(key)
}
