/** What is compared: each is a way for bytes from one process to another. */
import type { Bulk } from '../tcp/load.ts'

/** A way that is up. */
export interface Way {
  /** The local port of each target that it was started with; none where it carries no TCP. */
  readonly ports: readonly number[]
  /** Process ids: where the connections begin, and where they end. Their children belong to them. */
  readonly near: readonly number[]
  readonly far: readonly number[]
  /** Moves bytes; returns the seconds it took. */
  bulk(load: Bulk): Promise<number>
  close(): Promise<void>
}

export interface Contender {
  readonly name: string
  /** `tcp` carries TCP connections, `channel` only bytes from one process to the other. */
  readonly kind: 'tcp' | 'channel'
  /** Whose figure its own is divided by, in the same round, by their names. */
  readonly comparedTo: readonly string[]
  /** How many targets it can be started with, where that has a bound. */
  readonly mostTargets?: number
  /** Why it cannot be had here, or null. */
  absent(): Promise<string | null>
  /** `targets`: ports of 127.0.0.1 */
  start(targets: readonly number[]): Promise<Way>
}

export const processesOf = ({ near, far }: Way): number[] => [...near, ...far]
