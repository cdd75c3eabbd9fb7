/** Whether the other side of a link lives: what is heard of it, pings, and how long their answers take. */
import type { ControlMessage } from './control.ts'
import { NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'

export interface LivenessOwner {
  send(control: ControlMessage): void
  /** bytes of control messages that wait to leave */
  buffered(): number
  /** The other side does not live, or breaks the rules. */
  fail(reason: NearportError): void
  /** Resolves when the link is over. */
  readonly closed: Promise<unknown>
}

export class Liveness {
  /** ms from the last ping that was timed to its pong; null before. It waits behind whatever else is being sent. */
  roundTripMs: number | null = null
  readonly #owner: LivenessOwner
  #timer: ReturnType<typeof setInterval> | undefined
  #lastHeard = performance.now()
  #lastPing = performance.now()
  #pings = 0
  #pongs = 0
  /** A ping that is being timed. They carry no number: the channel is ordered, and each is answered once. */
  #timed: { readonly ping: number; readonly at: number } | null = null

  constructor(owner: LivenessOwner) {
    this.#owner = owner
  }

  /** The link is ready: both sides ping from now on. */
  start(): void {
    this.#ping()
    this.#timer = setInterval(() => this.#check(), LIMITS.linkCheck)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  heard(): void {
    this.#lastHeard = performance.now()
  }

  receive({ type }: Extract<ControlMessage, { type: 'ping' | 'pong' }>): void {
    if (type === 'ping') {
      // Whoever pings and reads no answer must not fill our memory with them.
      if (this.#owner.buffered() > LIMITS.controlBacklogBytes) throw unread()
      this.#owner.send({ type: 'pong' })
    } else if (++this.#pongs === this.#timed?.ping) {
      this.roundTripMs = Math.round(performance.now() - this.#timed.at)
      this.#timed = null
    }
  }

  /** False, and the link is lost, if nothing comes from the other side within LIMITS.probeDeadline. */
  async answers(): Promise<boolean> {
    const asked = performance.now()
    this.#ping()
    let timer: ReturnType<typeof setTimeout> | undefined
    const deadline = new Promise((resolve) => {
      timer = setTimeout(resolve, LIMITS.probeDeadline)
    })
    await Promise.race([deadline, this.#owner.closed])
    clearTimeout(timer)
    if (this.#lastHeard >= asked) return true
    this.#owner.fail(new NearportError('link-lost', 'the other side does not answer'))
    return false
  }

  #check(): void {
    const silence = performance.now() - this.#lastHeard
    if (silence >= LIMITS.linkSilence) {
      const seconds = Math.round(silence / 1000)
      this.#owner.fail(new NearportError('link-lost', `nothing came from the other side for ${seconds} s`))
    } else if (performance.now() - this.#lastPing >= LIMITS.linkPing) {
      // Busy or not: of a slow path it may be all that the sender of a job hears, whose own pings wait behind it.
      this.#lastPing = performance.now()
      this.#ping()
    }
  }

  #ping(): void {
    this.#pings++
    this.#timed ??= { ping: this.#pings, at: performance.now() }
    this.#owner.send({ type: 'ping' })
  }
}

const unread = () => new NearportError('rate-limited', 'the other side pings, and does not read the answers')
