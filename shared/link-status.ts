/** The status of a share peer on one link: the access side asks for it once, the share side tells it from then on. */
import type { ControlMessage } from './control.ts'
import { NearportError } from './errors.ts'
import type { Role } from './proof.ts'

export type StatusNews = Extract<ControlMessage, { type: 'status' | 'link' }>

/** Who is told. */
export interface Follower {
  /** bytes of control messages that wait to leave */
  buffered(): number
  send(news: StatusNews): void
}

export interface LinkStatusOwner extends Follower {
  readonly role: Role
  send(control: ControlMessage): void
}

export class LinkStatus {
  readonly #owner: LinkStatusOwner
  /** Share side: the other side has asked. */
  readonly #onfollow: ((follower: Follower) => void) | undefined
  #onnews: ((news: StatusNews) => void) | null = null
  #ready = false
  #asked = false

  constructor(owner: LinkStatusOwner, onfollow: ((follower: Follower) => void) | undefined) {
    this.#owner = owner
    this.#onfollow = onfollow
  }

  /** Access side: asks, as soon as the link is ready. */
  follow(onnews: (news: StatusNews) => void): void {
    this.#onnews = onnews
    this.#ask()
  }

  /** The link is ready. */
  begin(): void {
    this.#ready = true
    this.#ask()
  }

  /** Throws `message-malformed`. */
  receive(control: StatusNews | Extract<ControlMessage, { type: 'follow' }>): void {
    if (control.type === 'follow') {
      if (this.#owner.role === 'access' || this.#asked) throw untimely(control.type)
      this.#asked = true
      this.#onfollow?.(this.#owner)
    } else {
      if (this.#onnews === null) throw untimely(control.type)
      this.#onnews(control)
    }
  }

  #ask(): void {
    if (!this.#ready || this.#asked || this.#onnews === null) return
    this.#asked = true
    this.#owner.send({ type: 'follow' })
  }
}

const untimely = (type: string) =>
  new NearportError('message-malformed', `the other side sent "${type}", which was not due`)
