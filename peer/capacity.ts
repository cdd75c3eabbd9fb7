/** What this process may have open at once: files, of which each socket is one, and memory bound it. */
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { LIMITS } from '../shared/limits.ts'
import type { Capacity } from '../shared/share.ts'
import { hostAddresses } from './engines/ice.ts'

/**
 * Files this process may have open. Node has raised its soft limit to the hard one when it started. Elsewhere than on
 * Linux nothing tells: LIMITS.openFiles then.
 */
function openFiles(): number {
  if (process.platform !== 'linux') return LIMITS.openFiles
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return soft === undefined ? LIMITS.openFiles : Number(soft)
  } catch {
    // A container may hide /proc.
    return LIMITS.openFiles
  }
}

/** Bytes of memory, of this machine or of the container. */
const memory = (): number => Math.min(os.totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)

/** `reserved`: files that are needed besides LIMITS.reservedFiles. */
export function capacity(reserved = 0, files = openFiles(), bytes = memory()): Capacity {
  const half = Math.max(2, Math.floor((files - LIMITS.reservedFiles - reserved) / 2))
  // werift has a socket for each address of this host, native has one.
  const links = Math.floor(half / Math.max(2, hostAddresses().length))
  // A stream may hold a window in each direction; a quarter of the memory for all of them.
  const held = Math.floor(bytes / 4 / (2 * LIMITS.initialWindow))
  return {
    links: Math.max(1, Math.min(LIMITS.linksPerProcess, links)),
    streams: Math.max(1, Math.min(LIMITS.streamsPerProcess, half, held)),
  }
}
