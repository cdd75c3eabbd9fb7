/** The share side's TCP: it dials the target (the printer) for each stream, in order where the target takes few. */
import { connect, type Socket } from 'node:net'
import type { ResetCode } from '../shared/frames.ts'
import { formatHostPort, type HostPort } from '../shared/hostport.ts'
import { LIMITS } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import type { MuxStream } from '../shared/stream.ts'
import { type PumpEnd, pump } from './pump.ts'

export class Target {
  readonly #name: string
  readonly #address: HostPort
  readonly #maxConnections: number
  readonly #log: Log
  #connections = 0
  #waiting: (() => void)[] = []

  /** `maxConnections`: TCP connections to the target at once, or null for no bound. */
  constructor(name: string, address: HostPort, maxConnections: number | null, log: Log) {
    this.#name = name
    this.#address = address
    this.#maxConnections = maxConnections ?? Number.POSITIVE_INFINITY
    this.#log = log
  }

  /** Takes a stream the access side opened. */
  readonly accept = (stream: MuxStream): void => {
    if (this.#connections < this.#maxConnections) {
      this.#serve(stream)
    } else if (this.#waiting.length >= LIMITS.queuedStreams) {
      const text = `${LIMITS.queuedStreams} connections wait for "${this.#name}" already`
      this.#log.warn({ name: this.#name, code: 'queue-full', reason: text }, 'connection refused')
      stream.reset('queue-full', text)
    } else {
      this.#wait(stream)
    }
  }

  /** What arrives meanwhile is kept: its credit bounds it. */
  #wait(stream: MuxStream): void {
    const early: Uint8Array[] = []
    let ended = false
    const start = () => {
      this.#serve(stream)
      for (const bytes of early) stream.ondata(bytes)
      if (ended) stream.onend()
    }
    stream.ondata = (bytes) => early.push(bytes)
    stream.onend = () => {
      ended = true
    }
    stream.onreset = () => {
      this.#waiting = this.#waiting.filter((other) => other !== start)
    }
    this.#waiting.push(start)
    this.#log.info({ name: this.#name, waiting: this.#waiting.length }, 'connection queued: the target is busy')
  }

  #serve(stream: MuxStream): void {
    this.#connections++
    const socket = this.#dial()
    pump(socket, stream, codeOf).then((end) => {
      this.#report(end)
    })
    socket.once('close', () => {
      this.#connections--
      this.#waiting.shift()?.()
    })
  }

  #dial(): Socket {
    const socket = connect({ ...this.#address, allowHalfOpen: true })
    const deadline = setTimeout(() => {
      const seconds = LIMITS.dialDeadline / 1000
      const error = new Error(`${formatHostPort(this.#address)} did not answer within ${seconds} s`)
      socket.destroy(Object.assign(error, { code: 'ETIMEDOUT', syscall: 'connect' }))
    }, LIMITS.dialDeadline)
    const answered = () => clearTimeout(deadline)
    socket.once('connect', answered).once('close', answered)
    return socket
  }

  #report({ sent, received, reset }: PumpEnd): void {
    const fields = { name: this.#name, toTarget: received, fromTarget: sent }
    if (reset === null) this.#log.debug(fields, 'connection done')
    else this.#log.warn({ ...fields, ...reset, target: formatHostPort(this.#address) }, 'connection reset')
  }
}

/** What a socket error means to the other side. */
function codeOf(error: NodeJS.ErrnoException): ResetCode {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'target-refused'
    case 'ETIMEDOUT':
      return 'target-timeout'
    case 'ECONNRESET':
    case 'EPIPE':
      return 'peer-reset'
    default:
      return 'target-unreachable'
  }
}
