/** The share side's TCP: it dials the target (the printer) for each stream, in order where the target takes few. */
import { ByteQueue } from '../shared/byte-queue.ts'
import { shortIdentity } from '../shared/crypto.ts'
import { deferred } from '../shared/deferred.ts'
import type { ResetCode } from '../shared/frames.ts'
import { formatHostPort, type HostPort } from '../shared/hostport.ts'
import type { Log } from '../shared/log.ts'
import { Regulars } from '../shared/regulars.ts'
import type { ShareStatus } from '../shared/status.ts'
import type { MuxStream } from '../shared/stream.ts'
import { Tally } from '../shared/tally.ts'
import { dialCode, dialTarget } from './dial.ts'
import { TargetHealth, type TargetHealthOptions } from './health.ts'
import { Holders } from './holders.ts'
import { type PumpEnd, pump } from './pump.ts'
import { WaitingLine } from './waiting.ts'

export interface TargetOptions extends TargetHealthOptions {
  /** TCP connections to the target at once, or null for no bound. */
  readonly maxConnections: number | null
  /** ms without a byte after which a connection gives way when others wait; 0 or absent: never */
  readonly idleTimeout?: number
  /** Those who were here before; absent: nobody was. */
  readonly regulars?: Regulars
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
  readonly #holders: Holders
  readonly #waiting: WaitingLine
  readonly #refused: Tally
  #stopped = false

  constructor(options: TargetOptions) {
    this.#name = options.name
    this.#address = options.address
    this.#maxConnections = options.maxConnections ?? Number.POSITIVE_INFINITY
    this.#log = options.log
    this.#holders = new Holders(options.idleTimeout ?? 0)
    this.#holders.ongiveway = () => this.#log.warn({ name: this.#name, code: 'idle-timeout' }, 'connection given up')
    this.#waiting = new WaitingLine(options.regulars ?? new Regulars())
    this.#refused = new Tally(options.log, 'connections refused')
    this.#health = new TargetHealth(options)
    this.#health.onchange = () => this.onhealth()
  }

  /** To be called once it is served. */
  start(): void {
    if (this.#holders.size === 0 && !this.#stopped) this.#health.start()
  }

  /** Looks at the target no more. Connections go on. */
  stop(): void {
    this.#stopped = true
    this.#refused.stop()
    this.#holders.wait(false)
    this.#health.pause()
  }

  status(): ShareStatus {
    const { sent, received } = this.#holders.traffic
    return {
      health: this.#health.current,
      streams: this.#holders.size,
      queued: this.#waiting.length,
      // `received` is what the target took.
      toTarget: received,
      fromTarget: sent,
      servedMs: Math.round(performance.now() - this.#began),
    }
  }

  /** See Service. */
  accept(stream: MuxStream, owner: string): Promise<unknown> {
    return this.#holders.size < this.#maxConnections ? this.#serve(stream) : this.#wait(stream, owner)
  }

  /** What arrives meanwhile is kept: its credit bounds it. */
  #wait(stream: MuxStream, owner: string): Promise<unknown> {
    const early = new ByteQueue()
    let ended = false
    const over = deferred<unknown>()
    const start = () => {
      over.resolve(this.#serve(stream))
      early.shift(early.unread, (bytes) => stream.ondata(bytes))
      if (ended) stream.onend()
    }
    if (!this.#waiting.add(owner, start)) {
      const reason = `as many connections wait for "${this.#name}" as may`
      this.#refused.add({ code: 'queue-full', name: this.#name, owner: shortIdentity(owner), reason })
      stream.reset('queue-full', reason)
      return Promise.resolve()
    }
    stream.ondata = (bytes) => early.push(bytes)
    stream.onend = () => {
      ended = true
    }
    stream.onreset = () => {
      this.#waiting.remove(owner, start)
      this.#holders.wait(this.#waiting.length > 0)
      over.resolve(undefined)
    }
    this.#log.info({ name: this.#name, waiting: this.#waiting.length }, 'connection queued: the target is busy')
    this.#holders.wait(true)
    return over.promise
  }

  async #serve(stream: MuxStream): Promise<void> {
    this.#health.pause()
    const socket = dialTarget(this.#address)
    const traffic = this.#holders.add(socket, stream)
    let connected = false
    socket.once('connect', () => {
      connected = true
      this.#health.record(null)
    })
    socket.once('error', (error) => {
      if (!connected) this.#health.record(error)
    })
    socket.once('close', () => {
      this.#waiting.next()
      this.#holders.wait(this.#waiting.length > 0)
      if (this.#holders.size === 0 && !this.#stopped) this.#health.resume()
    })
    this.#report(await pump(socket, stream, codeOf, traffic))
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
