/** One connection to a signaling server, from the opening of the socket through admission to its end. */
import { fromBase64Url, toBase64Url } from './bytes.ts'
import { admissionTranscript, type Identity, type MacKey } from './crypto.ts'
import { type Deferred, deferred } from './deferred.ts'
import { asNearportError, NearportError } from './errors.ts'
import { socketUrl } from './invite.ts'
import type { Limits } from './limits.ts'
import type { Log } from './log.ts'
import { type ClientMessage, PROTOCOL_VERSION, parseServerMessage, type ServerMessage } from './messages.ts'
import { TokenBucket } from './token-bucket.ts'

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
  /** of the admission verifier */
  readonly admissionKey: MacKey
  readonly identity: Identity
  readonly peer: string
  readonly WebSocket: WebSocketConstructor
  readonly limits: Limits
  readonly log: Log
  readonly onadmitted: (stunPort: number | null) => void
  /** What comes after admission; what it throws ends the connection. */
  readonly onmessage: (message: ServerMessage) => void
}

interface Outgoing {
  readonly text: string
  readonly sent: () => void
}

export class SignalingConnection {
  readonly #options: ConnectionOptions
  readonly #socket: ClientSocket
  readonly #bucket: TokenBucket
  readonly #closed: Deferred<NearportError> = deferred()
  readonly #outgoing: Outgoing[] = []
  #state: 'opening' | 'hello' | 'proving' | 'admitted' | 'closed' = 'opening'
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
    this.#outgoing.push({ text: JSON.stringify(message), sent })
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
    const { peer, identity } = this.#options
    this.#state = 'hello'
    this.#transmit({ type: 'hello', version: PROTOCOL_VERSION, peer, identity: identity.publicKey })
  }

  #receive(data: unknown): void {
    if (this.#state === 'closed') return
    try {
      if (typeof data !== 'string') throw malformed('a message that is not text')
      // A browser takes any length; the socket of a process has refused it before it came here.
      if (data.length > this.#options.limits.signalingMessageBytes) throw malformed('a message that is too long')
      this.#handle(parseServerMessage(data))
    } catch (error) {
      this.#reject(asNearportError(error))
    }
  }

  #handle(message: ServerMessage): void {
    if (message.type === 'refused' && message.request === null) {
      // The server closes next; its text is shown to the user, so that it must not steer a terminal.
      const text = message.message.replaceAll(/\p{Cc}/gu, ' ')
      this.#reason = new NearportError(message.code, `${this.#options.url} refused: ${text}`)
    } else if (this.#state === 'admitted') {
      clearTimeout(this.#deadline)
      this.#deadline = this.#expect(this.#options.limits.signalingSilence)
      this.#options.onmessage(message)
    } else if (message.type === 'challenge' && this.#state === 'hello') {
      this.#state = 'proving'
      this.#prove(message.nonce).catch((error: unknown) => this.drop(asNearportError(error)))
    } else if (message.type === 'admitted' && this.#state === 'proving') {
      this.#enter(message.stunPort)
    } else {
      this.#reject(malformed(`${message.type} out of order`))
    }
  }

  /** The server broke the protocol. */
  #reject(reason: NearportError): void {
    this.#options.log.error({ url: this.#options.url, code: reason.code }, reason.message)
    this.drop(reason)
  }

  async #prove(nonceText: string): Promise<void> {
    const { peer, identity, admissionKey } = this.#options
    const nonce = fromBase64Url(nonceText)
    if (nonce === null) throw malformed('a nonce that is not base64url')
    const transcript = admissionTranscript(nonce, peer, identity.publicKey)
    const [proof, signature] = await Promise.all([admissionKey.sign(transcript), identity.sign(transcript)])
    if (this.#state !== 'proving') return
    this.#transmit({ type: 'admit', proof: toBase64Url(proof), signature: toBase64Url(signature) })
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
      this.#socket.send(next.text)
      next.sent()
    }
  }

  #transmit(message: ClientMessage): void {
    this.#socket.send(JSON.stringify(message))
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

const malformed = (what: string) => new NearportError('message-malformed', `the server sent ${what}`)
