/**
 * How long a connection outlives the process it went through: once a peer is back, under a new session, nothing can go on
 * that its former self had begun, and the other end is to be told at once.
 */
import type { Fault } from './faults.ts'
import type { Receipt } from './printer.ts'
import type { Job } from './till.ts'

/** ms from when the process was back until the connection was reset; below zero where it was reset before. */
export interface Lingering {
  /** jobs, by the restart of their share */
  readonly atTills: readonly number[]
  /** what printers had of jobs, by the restart of their access */
  readonly atPrinters: readonly number[]
}

export function lingering(
  jobs: readonly Job[],
  receipts: readonly Receipt[],
  faults: readonly Fault[],
  shareOf: (printer: string) => string | undefined,
): Lingering {
  const accessOf = new Map(jobs.map(({ id, access }) => [id, access]))
  const after = (target: string | undefined, from: number, to: number): number[] => {
    const restart = faults.find((fault) => {
      return fault.target === target && /^(kill|stop) /.test(fault.kind) && fault.from > from && fault.from < to
    })
    return restart?.until == null ? [] : [to - restart.until]
  }
  return {
    atTills: jobs
      .filter(({ outcome }) => outcome === 'reset')
      .flatMap(({ printer, beganAt, endedAt }) => after(shareOf(printer), beganAt, endedAt)),
    atPrinters: receipts
      .filter(({ job, end }) => job !== null && end === 'reset')
      .flatMap(({ job, openedAt, endedAt }) => after(accessOf.get(job ?? 0), openedAt, endedAt)),
  }
}
