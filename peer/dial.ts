/** Dials a target, for a job or only to see whether it answers. */
import { connect, type Socket } from 'node:net'
import { formatHostPort, type HostPort } from '../shared/hostport.ts'
import { LIMITS } from '../shared/limits.ts'
import type { HealthCode } from '../shared/status.ts'

/** A socket that is connecting, and fails with ETIMEDOUT after LIMITS.dialDeadline. */
export function dialTarget(address: HostPort): Socket {
  const socket = connect({ ...address, allowHalfOpen: true })
  const deadline = setTimeout(() => {
    const seconds = LIMITS.dialDeadline / 1000
    const error = new Error(`${formatHostPort(address)} did not answer within ${seconds} s`)
    socket.destroy(Object.assign(error, { code: 'ETIMEDOUT', syscall: 'connect' }))
  }, LIMITS.dialDeadline)
  const answered = () => clearTimeout(deadline)
  socket.once('connect', answered).once('close', answered)
  return socket
}

/** Why a target could not be dialed. */
export function dialCode(error: NodeJS.ErrnoException): HealthCode {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'target-refused'
    case 'ETIMEDOUT':
      return 'target-timeout'
    default:
      return 'target-unreachable'
  }
}
