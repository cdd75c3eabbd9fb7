import type { Limits } from '../shared/limits.ts'

/** What waits for a peer to read. */
export interface Backlogged {
  /** bytes handed over and not yet taken by the network */
  readonly bufferedAmount: number
}

/**
 * What may wait for all peers together. Who keeps up has next to nothing waiting; those who do not share one amount, so
 * that each may have the less the more they are.
 */
export class Backlogs {
  readonly #limits: Limits
  readonly #slow = new Set<Backlogged>()

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** To be asked after each send: false when more waits for this peer than may. */
  allows(peer: Backlogged): boolean {
    const { bufferedAmount } = peer
    const { signalingBacklogSlow, signalingBacklogBytes, signalingBacklogTotal } = this.#limits
    if (bufferedAmount <= signalingBacklogSlow) {
      this.#slow.delete(peer)
      return true
    }
    this.#slow.add(peer)
    const share = signalingBacklogTotal / this.#slow.size
    return bufferedAmount <= Math.max(signalingBacklogSlow, Math.min(signalingBacklogBytes, share))
  }

  /** What waited was taken, or the peer is gone: others may have more again. */
  drained(peer: Backlogged): void {
    if (peer.bufferedAmount <= this.#limits.signalingBacklogSlow) this.#slow.delete(peer)
  }

  leave(peer: Backlogged): void {
    this.#slow.delete(peer)
  }
}
