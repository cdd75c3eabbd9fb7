/** What one nearport process is made of, for whoever makes links: who it is, its network, its engine, its server. */
import type { Bytes, Identity } from './crypto.ts'
import type { Engine } from './engine.ts'
import type { KnownOwners } from './known-owners.ts'
import type { Log } from './log.ts'
import type { NatReport } from './nat.ts'
import type { SignalingClient } from './signaling-client.ts'

export interface PeerNode {
  /** id of this process, new at each start */
  readonly peer: string
  readonly identity: Identity
  readonly networkKey: Bytes
  readonly engine: Engine
  readonly signaling: SignalingClient
  /** ms that connections wait for a new link when theirs is lost */
  readonly grace: number
  /** ids of processes of this environment that were killed */
  readonly predecessors: readonly string[]
  /** Whom names belong to, as far as this environment has used them. */
  readonly owners: KnownOwners
  readonly log: Log
  /** What NAT this process is behind, once that is known; never rejects. Absent where it cannot be found. */
  readonly nat?: (() => Promise<NatReport | null>) | undefined
}
