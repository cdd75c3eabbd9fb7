/** The connections that a target has open, and which of them gives way when others wait. */
import type { Socket } from 'node:net'
import { LIMITS } from '../shared/limits.ts'
import type { MuxStream } from '../shared/stream.ts'
import type { Traffic } from './pump.ts'
import { hasUndelivered } from './undelivered.ts'

interface Holder {
  readonly socket: Socket
  readonly stream: MuxStream
  readonly traffic: Traffic
  /** of `traffic`, when it was last looked at */
  bytes: number
  /** performance.now() of the first look that found so many bytes */
  since: number
}

export class Holders {
  /** An idle connection gave way. */
  ongiveway: () => void = () => undefined
  readonly #holders = new Set<Holder>()
  readonly #idleTimeout: number
  /** Bytes of the connections that are over. */
  readonly #past: Traffic = { sent: 0, received: 0 }
  #timer: ReturnType<typeof setInterval> | undefined

  /** `idleTimeout`: ms without a byte after which a connection gives way when others wait; 0: never. */
  constructor(idleTimeout: number) {
    this.#idleTimeout = idleTimeout
  }

  get size(): number {
    return this.#holders.size
  }

  get traffic(): Traffic {
    const sum = { ...this.#past }
    for (const { traffic } of this.#holders) {
      sum.sent += traffic.sent
      sum.received += traffic.received
    }
    return sum
  }

  /** A connection begins; it is over when its socket is closed. Returns what counts its bytes. */
  add(socket: Socket, stream: MuxStream): Traffic {
    const holder = { socket, stream, traffic: { sent: 0, received: 0 }, bytes: 0, since: performance.now() }
    this.#holders.add(holder)
    socket.once('close', () => {
      this.#holders.delete(holder)
      this.#past.sent += holder.traffic.sent
      this.#past.received += holder.traffic.received
    })
    return holder.traffic
  }

  /** Others wait: who is idle gives way, from now on. To be called again when nobody waits. */
  wait(waits: boolean): void {
    if (!waits || this.#idleTimeout === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
    } else if (this.#timer === undefined) {
      for (const holder of this.#holders) look(holder)
      this.#timer = setInterval(() => this.#look(), LIMITS.idleLook)
    }
  }

  #look(): void {
    const idle = [...this.#holders].filter((holder) => look(holder) >= this.#idleTimeout && !isDelivering(holder))
    const [longest] = idle.sort((a, b) => a.since - b.since)
    if (longest === undefined) return
    const seconds = this.#idleTimeout / 1000
    this.ongiveway()
    longest.stream.reset('idle-timeout', `nothing was sent for ${seconds} s, and others wait for the target`)
    // In order, so that what the target has is not lost: it prints that and closes.
    longest.socket.end()
  }
}

/** ms without a byte */
function look(holder: Holder): number {
  const now = performance.now()
  const bytes = holder.traffic.sent + holder.traffic.received
  if (bytes !== holder.bytes) holder.since = now
  holder.bytes = bytes
  return now - holder.since
}

/** A printer that is out of paper is not idle: it does not take what there is for it. Nor is one that has the whole job. */
const isDelivering = ({ socket }: Holder): boolean =>
  socket.connecting || socket.writableEnded || socket.writableLength > 0 || hasUndelivered(socket)
