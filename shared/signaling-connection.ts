/** One connection to a signaling server, from the opening of the socket through admission to its end. */
import type { Applicant } from './applicant.ts'
import { type Deferred, deferred } from './deferred.ts'
import { asNearportError, NearportError } from './errors.ts'
import { socketUrl } from './invite.ts'
import type { Limits } from './limits.ts'
import type { Log } from './log.ts'
import { type ClientMessage, parseServerMessage, type ServerMessage } from './messages.ts'
import { TokenBucket } from './token-bucket.ts'
import { agree, inWords, SPOKEN } from './versions.ts'

/** The part of a WebSocket that is used here: a browser's and the one of `ws` both have it. */
export interface ClientSocket {
  onopen: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  send(text: string): void
  close(status?: number): void
  /** Only `ws` has it: ends the socket without a closing handshake. */
  terminate?(): void
}

export type WebSocketConstructor = new (url: string) => ClientSocket

export interface ConnectionOptions {
  /** http: or https:, ending with "/" */
  readonly url: string
  readonly applicant: Applicant
  readonly peer: string
  readonly WebSocket: WebSocketConstructor
  readonly limits: Limits
  readonly log: Log
  readonly onadmitted: (stunPort: number | null) => void
  /** What comes after admission; what it throws ends the connection. */
  readonly onmessage: (message: ServerMessage) => void
}

interface Outgoing {
  readonly message: ClientMessage
  readonly sent: () => void
}

export class SignalingConnection {
  readonly #options: ConnectionOptions
  readonly #socket: ClientSocket
  readonly #bucket: TokenBucket
  readonly #closed: Deferred<NearportError> = deferred()
  readonly #outgoing: Outgoing[] = []
  #hello = ''
  /** What a server of this network says when it admits this peer. */
  #proofOfServer = ''
  #state: 'opening' | 'hello' | 'proving' | 'applied' | 'admitted' | 'closed' = 'opening'
  /** Why the connection is about to end, if something else than the end itself says so. */
  #reason: NearportError | null = null
  /** First the admission deadline, later the silence limit. */
  #deadline: ReturnType<typeof setTimeout>
  #pings: ReturnType<typeof setInterval> | undefined
  #pacer: ReturnType<typeof setTimeout> | undefined
  #closing: ReturnType<typeof setTimeout> | undefined

  /** Opens the socket. Throws `server-unreachable` when there is no such URL. */
  constructor(options: ConnectionOptions) {
    this.#options = options
    const { url, WebSocket, limits } = options
    // Half of what the server grants: a peer with many names must not be cut off for telling them all.
    this.#bucket = new TokenBucket(limits.signalingMessagesPerSecond / 2, limits.signalingBurst / 2)
    try {
      this.#socket = new WebSocket(socketUrl(url))
    } catch (error) {
      throw asNearportError(error, 'server-unreachable')
    }
    this.#socket.onopen = () => this.#greet()
    this.#socket.onmessage = ({ data }: { data: unknown }) => this.#receive(data)
    this.#socket.onerror = ({ message }: { message?: unknown }) => {
      if (typeof message === 'string') this.#reason ??= this.#unreachable(message)
    }
    this.#socket.onclose = () => this.#finish(this.#reason ?? this.#unreachable('the connection was closed'))
    this.#deadline = this.#expect(limits.admissionDeadline)
  }

  /** Resolves, when the connection has ended, with the reason; never rejects. */
  get closed(): Promise<NearportError> {
    return this.#closed.promise
  }

  get admitted(): boolean {
    return this.#state === 'admitted' && this.#closing === undefined
  }

  /** Sends in order, and as fast as the server allows; `sent` is called when it is the message's turn. */
  send(message: ClientMessage, sent: () => void = () => undefined): void {
    // What is over need not be said: who makes us say much must not hold up what we say to others.
    if (message.type === 'end') this.#dropSignals(message.session)
    this.#outgoing.push({ message, sent })
    this.#flush()
  }

  /** Ends the connection with a closing handshake, which may take LIMITS.stopDeadline. */
  close(reason: NearportError): void {
    if (this.#state === 'closed') return
    this.#reason = reason
    this.#closing ??= setTimeout(() => this.drop(reason), this.#options.limits.stopDeadline)
    this.#socket.close()
  }

  /** Ends the connection now. */
  drop(reason: NearportError): void {
    this.#finish(reason)
    if (this.#socket.terminate === undefined) this.#socket.close()
    else this.#socket.terminate()
  }

  #greet(): void {
    if (this.#state !== 'opening') return
    const { applicant, peer } = this.#options
    this.#state = 'hello'
    this.#hello = applicant.hello(peer)
    this.#socket.send(this.#hello)
  }

  #receive(data: unknown): void {
    if (this.#state === 'closed') return
    try {
      if (typeof data !== 'string') throw malformed('a message that is not text')
      // A browser takes any length; the socket of a process has refused it before it came here.
      if (data.length > this.#options.limits.signalingMessageBytes) throw malformed('a message that is too long')
      this.#handle(parseServerMessage(data), data)
    } catch (error) {
      this.#reject(asNearportError(error))
    }
  }

  /** Throws what the server did wrong. */
  #handle(message: ServerMessage, text: string): void {
    if (message.type === 'refused' && message.request === null) {
      // The server closes next.
      this.#reason = this.#refusal(message)
    } else if (this.#state === 'admitted') {
      clearTimeout(this.#deadline)
      this.#deadline = this.#expect(this.#options.limits.signalingSilence)
      this.#options.onmessage(message)
    } else if (message.type === 'challenge' && this.#state === 'hello') {
      this.#state = 'proving'
      agree(SPOKEN, message, { own: 'this peer', other: `the server at ${this.#options.url}` })
      this.#apply(text).catch((error: unknown) => this.drop(asNearportError(error)))
    } else if (message.type === 'admitted' && this.#state === 'applied') {
      if (message.proof !== this.#proofOfServer) throw notOfThisNetwork(this.#options.url)
      this.#enter(message.stunPort)
    } else {
      throw malformed(`${message.type} out of order`)
    }
  }

  #refusal({ code, message }: Extract<ServerMessage, { type: 'refused' }>): NearportError {
    const { url } = this.#options
    if (code === 'message-malformed' && this.#state === 'hello') {
      const says = `the server at ${url} does not understand ${inWords(SPOKEN)} of the protocol: update the server`
      return new NearportError('version-mismatch', says)
    }
    return new NearportError(code, `${url} refused: ${message}`)
  }

  /** The server broke the protocol. */
  #reject(reason: NearportError): void {
    this.#options.log.error({ url: this.#options.url, code: reason.code }, reason.message)
    this.drop(reason)
  }

  async #apply(challenge: string): Promise<void> {
    const { admit, proofOfServer } = await this.#options.applicant.apply(this.#hello, challenge)
    if (this.#state !== 'proving') return
    this.#state = 'applied'
    this.#proofOfServer = proofOfServer
    this.#socket.send(JSON.stringify(admit))
  }

  #enter(stunPort: number | null): void {
    const { limits, onadmitted } = this.#options
    this.#state = 'admitted'
    clearTimeout(this.#deadline)
    this.#deadline = this.#expect(limits.signalingSilence)
    this.#pings = setInterval(() => this.send({ type: 'ping' }), limits.signalingPing)
    onadmitted(stunPort)
    this.#flush()
  }

  #flush(): void {
    if (this.#pacer !== undefined) return
    while (this.admitted) {
      const [next] = this.#outgoing
      if (next === undefined) return
      if (!this.#bucket.take()) {
        this.#pacer = setTimeout(() => {
          this.#pacer = undefined
          this.#flush()
        }, this.#bucket.wait())
        return
      }
      this.#outgoing.shift()
      this.#socket.send(JSON.stringify(next.message))
      next.sent()
    }
  }

  #dropSignals(session: string): void {
    const left = this.#outgoing.filter(({ message }) => message.type !== 'signal' || message.session !== session)
    this.#outgoing.splice(0, this.#outgoing.length, ...left)
  }

  #finish(reason: NearportError): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#outgoing.length = 0
    clearTimeout(this.#deadline)
    clearInterval(this.#pings)
    clearTimeout(this.#pacer)
    clearTimeout(this.#closing)
    this.#closed.resolve(reason)
  }

  #expect(ms: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => this.drop(this.#unreachable(`no answer within ${ms / 1000} s`)), ms)
  }

  #unreachable(why: string): NearportError {
    return new NearportError('server-unreachable', `cannot reach ${this.#options.url}: ${why}`)
  }
}

const notOfThisNetwork = (url: string) =>
  new NearportError('proof-refused', `the server at ${url} did not prove that it is of this network`, {
    next: 'check the address in the link: a server of another network answers there, or someone is in between',
  })
const malformed = (what: string) => new NearportError('message-malformed', `the server sent ${what}`)
