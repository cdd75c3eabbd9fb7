/** A repair of werift's sockets: without it one that cannot be had, for want of files say, ends the process. */
import type { Socket } from 'node:dgram'
import { UdpTransport } from 'werift'

interface Transport {
  readonly socket: Socket
  init: (this: Transport) => Promise<void>
}

let repaired = false

/**
 * werift listens to no error of a socket, and an error that nobody listens to is an uncaught exception. Here one that
 * cannot be bound fails its address, and werift goes on with the others; afterwards errors are of single datagrams. For
 * all connections of this process; idempotent.
 */
export function repairUdp(): void {
  if (repaired) return
  repaired = true
  const prototype = UdpTransport.prototype as unknown as Transport
  const { init } = prototype
  prototype.init = async function () {
    const failed = new Promise<never>((_, reject) => {
      this.socket.on('error', reject)
    })
    try {
      await Promise.race([init.call(this), failed])
    } catch (error) {
      this.socket.close()
      throw error
    }
  }
}
