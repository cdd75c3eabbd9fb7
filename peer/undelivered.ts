/** What the kernel has of a connection that the other host did not take. */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'

/**
 * Whether the kernel still has bytes for the other host: one that is out of paper takes no more, while Node has handed
 * all of them over. Only Linux tells, by /proc/net/tcp; elsewhere, and where that is hidden, false.
 */
export function hasUndelivered({ localPort, remotePort, remoteFamily }: Socket): boolean {
  if (process.platform !== 'linux' || localPort === undefined || remotePort === undefined) return false
  const table = readTable(remoteFamily === 'IPv6' ? '/proc/net/tcp6' : '/proc/net/tcp')
  const [local, remote] = [localPort, remotePort].map((port) => port.toString(16).toUpperCase().padStart(4, '0'))
  // sl, local address, remote address, state, bytes to send: bytes to read
  const line = new RegExp(`^\\s*\\d+: [0-9A-F]+:${local} [0-9A-F]+:${remote} 0[1478] ([0-9A-F]{8}):`, 'm')
  const queued = line.exec(table)?.[1]
  return queued !== undefined && Number.parseInt(queued, 16) > 0
}

function readTable(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
