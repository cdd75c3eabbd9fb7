/** The share side's TCP: it dials the target (the printer) for each stream, in order where the target takes few. */
import { ByteQueue } from '../shared/byte-queue.ts'
import type { ResetCode } from '../shared/frames.ts'
import { formatHostPort, type HostPort } from '../shared/hostport.ts'
import { LIMITS } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import type { ShareStatus } from '../shared/status.ts'
import type { MuxStream } from '../shared/stream.ts'
import { dialCode, dialTarget } from './dial.ts'
import { TargetHealth, type TargetHealthOptions } from './health.ts'
import { type PumpEnd, pump } from './pump.ts'

export interface TargetOptions extends TargetHealthOptions {
  /** TCP connections to the target at once, or null for no bound. */
  readonly maxConnections: number | null
}

export class Target {
  /** The health of the target is another. */
  onhealth: () => void = () => undefined
  readonly #name: string
  readonly #address: HostPort
  readonly #maxConnections: number
  readonly #log: Log
  readonly #health: TargetHealth
  readonly #began = performance.now()
  /** Bytes of all connections so far: `received` is what the target took. */
  readonly #traffic = { sent: 0, received: 0 }
  #connections = 0
  #stopped = false
  #waiting: (() => void)[] = []

  constructor(options: TargetOptions) {
    this.#name = options.name
    this.#address = options.address
    this.#maxConnections = options.maxConnections ?? Number.POSITIVE_INFINITY
    this.#log = options.log
    this.#health = new TargetHealth(options)
    this.#health.onchange = () => this.onhealth()
  }

  /** To be called once it is served. */
  start(): void {
    if (this.#connections === 0 && !this.#stopped) this.#health.start()
  }

  /** Looks at the target no more. Connections go on. */
  stop(): void {
    this.#stopped = true
    this.#health.pause()
  }

  status(): ShareStatus {
    return {
      health: this.#health.current,
      streams: this.#connections,
      queued: this.#waiting.length,
      toTarget: this.#traffic.received,
      fromTarget: this.#traffic.sent,
      servedMs: Math.round(performance.now() - this.#began),
    }
  }

  /** Takes a stream the access side opened. */
  accept(stream: MuxStream): void {
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
    const early = new ByteQueue()
    let ended = false
    const start = () => {
      this.#serve(stream)
      early.shift(early.unread, (bytes) => stream.ondata(bytes))
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
    this.#health.pause()
    this.#connections++
    const socket = dialTarget(this.#address)
    let connected = false
    socket.once('connect', () => {
      connected = true
      this.#health.record(null)
    })
    socket.once('error', (error) => {
      if (!connected) this.#health.record(error)
    })
    pump(socket, stream, codeOf, this.#traffic).then((end) => {
      this.#report(end)
    })
    socket.once('close', () => {
      this.#connections--
      this.#waiting.shift()?.()
      if (this.#connections === 0 && !this.#stopped) this.#health.resume()
    })
  }

  #report({ sent, received, reset }: PumpEnd): void {
    const fields = { name: this.#name, toTarget: received, fromTarget: sent }
    if (reset === null) this.#log.debug(fields, 'connection done')
    else this.#log.warn({ ...fields, ...reset, target: formatHostPort(this.#address) }, 'connection reset')
  }
}

/** What a socket error means to the other side. */
function codeOf(error: NodeJS.ErrnoException): ResetCode {
  return error.code === 'ECONNRESET' || error.code === 'EPIPE' ? 'peer-reset' : dialCode(error)
}
