/** What a process may open: at the bound no file, no socket and no log can be opened any more. */
import type { Limits } from '../shared/limits.ts'

/** Files and sockets this process may have open; null where the system sets no bound. */
export function openFilesMost(): number | null {
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } }
  const soft = report.userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : null
}

/**
 * The limits with as many connections as fit into `most` open files, with some kept for the store and the log. A proxy may
 * hold as many connections that are not a stranger's yet as strangers hold places.
 */
export function fittedTo(limits: Limits, most: number | null): Limits {
  if (most === null) return limits
  const room = most - limits.openFilesKept
  const signalingPending = atLeastOne(Math.min(limits.signalingPending, room / 8))
  const signalingConnections = atLeastOne(Math.min(limits.signalingConnections, room - 2 * signalingPending))
  return { ...limits, signalingPending, signalingConnections }
}

const atLeastOne = (number: number): number => Math.max(1, Math.floor(number))
