/**
 * The first signal of each session: which get a link, and which are refused. Nothing is made for a box that does not
 * open, and whoever sends many of them, or many that do, has the places of one identity.
 */
import { shortIdentity } from './crypto.ts'
import { asNearportError, NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import type { Link } from './link.ts'
import type { SignalMessage } from './messages.ts'
import type { Places } from './places.ts'
import type { Tally } from './tally.ts'
import { TokenBucket } from './token-bucket.ts'

export interface OffersOptions {
  /** of the links that are not ready */
  readonly places: Places
  /** What is dropped and refused. */
  readonly tally: Tally
  /** The box was sealed by a member, as the first of this session. */
  readonly opens: (signal: SignalMessage) => Promise<boolean>
  /** Makes the link. Throws why there is none. */
  readonly make: (signal: SignalMessage) => Link
  /** Tells the server that nothing comes of a session. */
  readonly end: (session: string) => void
}

type Refusal = Pick<NearportError, 'code' | 'message'>

const OVER = new NearportError('signal-refused', 'the session is over')
const UNREADABLE = new NearportError('signal-refused', 'the box does not open')
const FULL = new NearportError('too-many-links', 'as many links are being made as may be')

export class Offers {
  readonly #options: OffersOptions
  /** Sessions of which the first box is being opened, and the boxes that came after it. */
  readonly #opening = new Map<string, string[]>()
  /** Sessions that were, so that a replayed offer is not answered; a Set keeps the oldest first. */
  readonly #seen = new Set<string>()
  readonly #ends = new TokenBucket(LIMITS.refusalsPerSecond, LIMITS.refusalsBurst)
  readonly #timers = new Set<ReturnType<typeof setTimeout>>()
  #stopped = false

  constructor(options: OffersOptions) {
    this.#options = options
  }

  /** A signal for a session that has no link. */
  receive(signal: SignalMessage): void {
    if (this.#stopped) return
    const opening = this.#opening.get(signal.session)
    if (opening !== undefined) {
      if (opening.length < LIMITS.candidatesPerLink) opening.push(signal.box)
    } else if (this.#seen.has(signal.session)) {
      this.#refuse(signal, OVER)
    } else if (this.#options.places.take(signal.owner)) {
      this.#open(signal)
    } else {
      this.#refuse(signal, FULL)
    }
  }

  /** The server says that a session is over. */
  ended(session: string): void {
    this.#opening.delete(session)
  }

  stop(): void {
    this.#stopped = true
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #open(signal: SignalMessage): void {
    const { places, opens } = this.#options
    const since = performance.now()
    const later: string[] = []
    this.#opening.set(signal.session, later)
    const settle = (refusal: Refusal | null) => {
      const isOver = this.#stopped || this.#opening.get(signal.session) !== later
      if (!isOver) this.#opening.delete(signal.session)
      const link = isOver ? null : refusal === null ? this.#make(signal) : this.#refuse(signal, refusal)
      if (link === null) {
        places.give(signal.owner)
        return
      }
      this.#giveLater(signal.owner, link, since)
      for (const box of [signal.box, ...later]) link.receiveSignal(box)
    }
    opens(signal).then(
      (opened) => settle(opened ? null : UNREADABLE),
      (error: unknown) => settle(asNearportError(error)),
    )
  }

  #make(signal: SignalMessage): Link | null {
    this.#remember(signal.session)
    try {
      return this.#options.make(signal)
    } catch (error) {
      return this.#refuse(signal, asNearportError(error))
    }
  }

  /** The place of a link that fails is free only when the last of its time is over: so they also bound a rate. */
  #giveLater(owner: string, link: Link, since: number): void {
    const give = () => this.#options.places.give(owner)
    link.ready.then(give, () => {
      const left = since + LIMITS.linkDeadline - performance.now()
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        give()
      }, left)
      if (this.#stopped) clearTimeout(timer)
      else this.#timers.add(timer)
    })
  }

  /** What is said to the server takes turns with the answers to others, so that not all of it is said. */
  #refuse({ session, from, owner }: SignalMessage, { code, message }: Refusal): null {
    const { tally, end } = this.#options
    tally.add({ code, reason: message, peer: from, owner: shortIdentity(owner) })
    if (this.#ends.take()) end(session)
    return null
  }

  #remember(session: string): void {
    this.#seen.add(session)
    if (this.#seen.size <= LIMITS.rememberedSessions) return
    const [oldest] = this.#seen
    if (oldest !== undefined) this.#seen.delete(oldest)
  }
}
