/** One WebSocket: admission first, then its messages go to the hub. Whoever breaks a rule is cut off, by name. */

import { toBase64Url } from '../shared/bytes.ts'
import { shortIdentity } from '../shared/crypto.ts'
import { asNearportError, NearportError } from '../shared/errors.ts'
import type { Limits } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import { type ClientMessage, parseClientMessage, type ServerMessage } from '../shared/messages.ts'
import { TokenBucket } from '../shared/token-bucket.ts'
import { agree, SPOKEN } from '../shared/versions.ts'
import type { Admission, Admit, Attempt, Hello } from './admission.ts'
import type { Backlogged, Backlogs } from './backlogs.ts'
import type { Hub } from './hub.ts'
import type { Member } from './member.ts'

/** The part of a WebSocket that a connection uses. */
export interface Socket extends Backlogged {
  send(text: string, taken?: (error?: Error | null) => void): void
  close(status: number, reason: string): void
  terminate(): void
}

/** RFC 6455 section 7.4.1. */
const POLICY_VIOLATION = 1008
const GOING_AWAY = 1001
const MESSAGE_CHARS = 500

type State =
  | { readonly at: 'hello' }
  | { readonly at: 'admit'; readonly hello: Hello; readonly attempt: Attempt }
  | { readonly at: 'admitted'; readonly hello: Hello; readonly member: Member }
  | { readonly at: 'closed' }

export interface ConnectionOptions {
  readonly socket: Socket
  /** Where the peer connects from, for the log. */
  readonly remote: string
  /** Where that is: see sourceOf. */
  readonly source: string
  readonly hub: Hub
  /** of all connections of the server */
  readonly backlogs: Backlogs
  readonly admission: Pick<Admission, 'newNonce' | 'answer'>
  /** UDP, null when this server answers no STUN. */
  readonly stunPort: number | null
  readonly limits: Limits
  readonly log: Log
  readonly onadmitted: () => void
  /** Called once. */
  readonly onclosed: () => void
}

export class Connection {
  readonly #options: ConnectionOptions
  readonly #bucket: TokenBucket
  readonly #always: TokenBucket
  /** First the admission deadline, later the silence limit. */
  #deadline: NodeJS.Timeout
  #state: State = { at: 'hello' }

  constructor(options: ConnectionOptions) {
    this.#options = options
    const { signalingMessagesPerSecond, signalingBurst, admissionDeadline } = options.limits
    this.#bucket = new TokenBucket(signalingMessagesPerSecond, signalingBurst)
    this.#always = new TokenBucket(options.limits.messagesAlwaysPerSecond, options.limits.messagesAlways)
    this.#deadline = this.#after(admissionDeadline, 'admission was not passed in time')
  }

  /** A message came; null stands for one that is no text. */
  receive(text: string | null): void {
    if (!this.countFrame()) return
    try {
      if (text === null) throw new NearportError('message-malformed', 'a peer sent a message that is not text')
      this.#handle(parseClientMessage(text), text)
    } catch (error) {
      this.cutOff(asNearportError(error))
    }
  }

  /** Counts a frame against the rate; false when the connection is closed, or has just been for it. */
  countFrame(): boolean {
    if (this.#state.at === 'closed') return false
    if (this.#state.at === 'admitted') this.#deadline.refresh()
    if (this.#bucket.take() && this.#mayGoOn(this.#state)) return true
    this.cutOff(new NearportError('rate-limited', 'the peer sent too many messages'))
    return false
  }

  /** Who sends little is not the one: it must not be cut off for what others of its environment or address send. */
  #mayGoOn(state: State): boolean {
    const isWithinBudget = state.at === 'admitted' && this.#options.hub.count(state.member)
    return isWithinBudget || this.#always.take()
  }

  /** Tells the peer why, and closes. */
  cutOff(error: NearportError): void {
    if (this.#state.at === 'closed') return
    const { code } = error
    const text = code === 'internal' ? 'the server failed' : error.message.slice(0, MESSAGE_CHARS)
    this.#options.socket.send(
      JSON.stringify({ type: 'refused', request: null, code, message: text } satisfies ServerMessage),
    )
    this.#options.socket.close(code === 'server-stopping' ? GOING_AWAY : POLICY_VIOLATION, code)
    this.#close(error)
  }

  /** The socket is gone; `error` when it was not by a closing handshake. */
  closed(error?: NearportError): void {
    this.#close(error)
  }

  #handle(message: ClientMessage, text: string): void {
    const state = this.#state
    if (message.type === 'hello') {
      if (state.at !== 'hello') throw outOfOrder(message)
      this.#challenge(message, text)
    } else if (message.type === 'admit') {
      if (state.at !== 'admit') throw outOfOrder(message)
      this.#admit(state.hello, state.attempt, message)
    } else {
      if (state.at !== 'admitted') throw outOfOrder(message)
      this.#options.hub.handle(state.member, message)
    }
  }

  #challenge(hello: Hello, text: string): void {
    if (text.length > this.#options.limits.helloChars) {
      throw new NearportError('message-malformed', 'a peer sent a hello that is too long')
    }
    // Before version 3 there was one version, and no capabilities.
    const spoken = { least: hello.version, capabilities: [], ...hello }
    agree(SPOKEN, spoken, { own: 'the server', other: 'the peer' })
    const nonce = toBase64Url(this.#options.admission.newNonce())
    const challenge = { type: 'challenge', ...SPOKEN, nonce } satisfies ServerMessage
    const attempt = { identity: hello.identity, hello: text, challenge: JSON.stringify(challenge) }
    this.#state = { at: 'admit', hello, attempt }
    this.#options.socket.send(attempt.challenge)
  }

  #admit(hello: Hello, attempt: Attempt, admit: Admit): void {
    const { admission, hub, limits, stunPort, log } = this.#options
    const proof = admission.answer(attempt, admit)
    if (proof === null) {
      throw new NearportError('admission-refused', 'the peer does not hold the key of this network')
    }
    const member: Member = {
      peer: hello.peer,
      identity: hello.identity,
      source: this.#options.source,
      send: (message) => this.#send(message),
      deliver: (message) => this.#deliver(message),
      cutOff: (error) => this.cutOff(error),
    }
    hub.join(member)
    this.#state = { at: 'admitted', hello, member }
    clearTimeout(this.#deadline)
    this.#deadline = this.#after(limits.signalingSilence, 'the peer was silent for too long')
    this.#options.onadmitted()
    this.#send({ type: 'admitted', proof, stunPort })
    log.info(this.#who(), 'admitted a peer')
  }

  #send(message: ServerMessage): void {
    this.#put(message, () => undefined)
  }

  #deliver(message: ServerMessage): Promise<void> {
    if (this.#state.at === 'closed') return Promise.resolve()
    return new Promise((resolve) => this.#put(message, resolve))
  }

  /** A peer that does not read would fill the memory of the server; nothing more is sent to it. */
  #put(message: ServerMessage, taken: () => void): void {
    const { socket, backlogs } = this.#options
    if (this.#state.at === 'closed') return
    // A failure to send is followed by the end of the connection, which is where it is handled.
    socket.send(JSON.stringify(message), () => {
      backlogs.drained(socket)
      taken()
    })
    if (backlogs.allows(socket)) return
    this.#close(new NearportError('server-busy', 'the peer does not read what it is sent'))
    this.#options.socket.terminate()
  }

  #close(error: NearportError | undefined): void {
    const { log, hub, onclosed } = this.#options
    if (this.#state.at === 'closed') return
    const state = this.#state
    const who = this.#who()
    this.#state = { at: 'closed' }
    clearTimeout(this.#deadline)
    this.#options.backlogs.leave(this.#options.socket)
    if (state.at === 'admitted') hub.leave(state.member)
    onclosed()
    if (error === undefined) log.debug(who, 'a peer has left')
    else if (error.code === 'internal') log.error({ ...who, err: error }, 'the server failed')
    else if (error.code === 'server-stopping') log.debug(who, 'let a peer go')
    else log.warn({ ...who, code: error.code, reason: error.message }, 'cut off a peer')
  }

  #who(): { remote: string; peer?: string; owner?: string } {
    const { remote } = this.#options
    if (!('hello' in this.#state)) return { remote }
    const { peer, identity } = this.#state.hello
    return { remote, peer, owner: shortIdentity(identity) }
  }

  #after(ms: number, message: string): NodeJS.Timeout {
    return setTimeout(() => this.cutOff(new NearportError('server-timeout', message)), ms).unref()
  }
}

const outOfOrder = ({ type }: ClientMessage) =>
  new NearportError('message-malformed', `a peer sent ${type} out of order`)
