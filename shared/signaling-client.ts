/**
 * A peer's lasting relation to its signaling server: it reconnects by itself, and what the peer wants (names it
 * serves, names it watches) is asked for again each time.
 */
import { Applicant } from './applicant.ts'
import { Backoff, pause } from './backoff.ts'
import type { Bytes, Identity } from './crypto.ts'
import { type Deferred, deferred } from './deferred.ts'
import { asNearportError, NearportError } from './errors.ts'
import type { Following } from './following.ts'
import { type Limits, withLimits } from './limits.ts'
import type { Log } from './log.ts'
import type { EndedMessage, ListedShare, Presence, ServerMessage, SignalMessage } from './messages.ts'
import type { PeerRef } from './peer-key.ts'
import { SignalingConnection, type WebSocketConstructor } from './signaling-connection.ts'
import { type RequestBody, Requests } from './signaling-requests.ts'

export interface SignalingClientOptions {
  /** of the server, http: or https:, ending with "/" */
  readonly url: string
  readonly networkKey: Bytes
  readonly identity: Identity
  /** id of this process: a nanoid of 21 characters */
  readonly peer: string
  readonly WebSocket: WebSocketConstructor
  readonly log: Log
  /** from 0 to 1: spreads the reconnects of many peers */
  readonly random?: () => number
  readonly limits?: Partial<Limits>
}

export class SignalingClient {
  /** A sealed message came from another peer. */
  onsignal: (signal: SignalMessage) => void = () => undefined
  /** A session is over: the other side ended it or is gone. */
  onended: (ended: EndedMessage) => void = () => undefined
  /** A claimed name is served from here no longer: someone else has it, or a reconnect could not get it back. */
  ondisplaced: (name: string, reason: NearportError) => void = () => undefined
  /** The server was reached (true) or lost (false). */
  onstate: (connected: boolean) => void = () => undefined
  /** Called when the server is reached, again after it was lost. */
  readonly onreconnect = new Set<() => void>()

  readonly #options: SignalingClientOptions
  readonly #limits: Limits
  readonly #requests: Requests
  /** Names to serve, and whether each is ephemeral. */
  readonly #claims = new Map<string, boolean>()
  readonly #watches = new Map<string, (presence: Presence) => void>()
  #following: Following | null = null
  readonly #stop = new AbortController()
  #connection: SignalingConnection | null = null
  #wasConnected = false
  #stunPort: number | null = null
  #running: Promise<void> | null = null

  constructor(options: SignalingClientOptions) {
    this.#options = options
    this.#limits = withLimits(options.limits)
    this.#requests = new Requests(this.#limits)
  }

  /**
   * Connects, and stays connected until {@link close}. Resolves when first admitted. Rejects with what the first
   * attempt ended with: `server-unreachable`, `admission-refused`, `version-mismatch`, or another refusal; with
   * `retry`, what may succeed later is tried again instead.
   */
  start({ retry = false }: { readonly retry?: boolean } = {}): Promise<void> {
    if (this.#running !== null) throw new NearportError('internal', 'the signaling client was started twice')
    const admitted = deferred<void>()
    this.#running = this.#run(admitted, retry)
    return admitted.promise
  }

  get connected(): boolean {
    return this.#connection?.admitted ?? false
  }

  /** stun:HOST:PORT of the server last reached; null when it answers no STUN, or none was reached yet. */
  stunUrl(): string | null {
    return this.#stunPort === null ? null : `stun:${new URL(this.#options.url).hostname}:${this.#stunPort}`
  }

  // Every request rejects with what the server refused it with, and with `server-unreachable` or `server-timeout`.
  /** Resolves once the server has it on disk; also when this identity has reserved the name before. */
  async reserve(name: string): Promise<void> {
    await this.#request({ type: 'reserve', name, mode: 'tcpTunnel' })
  }

  async release(name: string): Promise<void> {
    await this.#request({ type: 'release', name })
  }

  /** Serves a name from here, until {@link unclaim} or {@link ondisplaced}. */
  async claim(name: string, { ephemeral }: { readonly ephemeral: boolean }): Promise<void> {
    // Before the answer: it may be followed at once by news about the name.
    this.#claims.set(name, ephemeral)
    try {
      await this.#request({ type: 'claim', name, ephemeral })
    } catch (error) {
      this.#claims.delete(name)
      throw error
    }
  }

  /** Never rejects for want of a connection: the server gives up the names of a peer that is gone. */
  async unclaim(name: string): Promise<void> {
    this.#claims.delete(name)
    await this.#requestIfConnected({ type: 'unclaim', name })
  }

  /** Gives the server the sealed health of a claimed name to keep, for as long as this connection serves it. */
  health(name: string, box: string): void {
    if (this.connected) this.#current().send({ type: 'health', name, box })
  }

  /** All shares of the network. */
  list(): Promise<ListedShare[]> {
    return this.#request({ type: 'list' })
  }

  /** Calls `onpresence` now, at each change, and after each reconnect; a second watch of a name replaces the first. */
  async watch(name: string, onpresence: (presence: Presence) => void): Promise<void> {
    this.#watches.set(name, onpresence)
    try {
      await this.#request({ type: 'watch', name })
    } catch (error) {
      this.#watches.delete(name)
      throw error
    }
  }

  /** Never rejects for want of a connection. */
  async unwatch(name: string): Promise<void> {
    this.#watches.delete(name)
    await this.#requestIfConnected({ type: 'unwatch', name })
  }

  /** Keeps `following` true from now on, as far as there is a connection. */
  follow(following: Following): void {
    this.#following = following
    if (this.#connection?.admitted) this.#askToFollow(this.#connection)
  }

  /** Sends a sealed message (base64url) to a peer. Throws `server-unreachable` while there is no connection. */
  signal(session: string, to: PeerRef, box: string): void {
    this.#current().send({ type: 'signal', session, to: to.peer, owner: to.identity, box })
  }

  /** Without a connection there is nothing to end: the server ends the sessions of a peer that is gone. */
  end(session: string): void {
    if (this.connected) this.#current().send({ type: 'end', session })
  }

  /** Resolves when the connection is closed; takes at most LIMITS.stopDeadline. */
  async close(): Promise<void> {
    this.#stop.abort()
    this.#connection?.close(clientClosed())
    await this.#running
  }

  async #run(admitted: Deferred<void>, retry: boolean): Promise<void> {
    const { networkKey, identity, random, log, url } = this.#options
    const applicant = await Applicant.of(networkKey, identity)
    const backoff = new Backoff(random)
    let first = true
    while (!this.#stop.signal.aborted) {
      const since = performance.now()
      const error = await this.#connect(applicant, () => {
        first = false
        admitted.resolve()
      })
      if (this.#stop.signal.aborted) break
      const final = error.exitStatus === 2
      if (first && (final || !retry)) return admitted.reject(error)
      // A connection that was soon lost again counts as a failure: a server may admit peers and then drop them.
      if (performance.now() - since > this.#limits.reconnectMost) backoff.reset()
      const delay = final ? this.#limits.reconnectMost : backoff.next()
      log[final ? 'error' : 'warn']({ url, code: error.code, delay: Math.round(delay) }, error.message)
      await pause(delay, this.#stop.signal)
    }
    admitted.reject(clientClosed())
  }

  /** One connection, from its beginning to its end; resolves with the reason of the end. */
  async #connect(applicant: Applicant, onadmitted: () => void): Promise<NearportError> {
    const { url, log } = this.#options
    let connection: SignalingConnection
    let admitted = false
    try {
      connection = new SignalingConnection({
        ...this.#options,
        applicant,
        limits: this.#limits,
        onadmitted: (stunPort) => {
          admitted = true
          this.#stunPort = stunPort
          log.info({ url }, 'connected to the signaling server')
          onadmitted()
          this.onstate(true)
          if (this.#wasConnected) for (const call of this.onreconnect) call()
          this.#wasConnected = true
          this.#restore(connection)
        },
        onmessage: (message) => this.#receive(message),
      })
    } catch (error) {
      return asNearportError(error)
    }
    this.#connection = connection
    const reason = await connection.closed
    this.#connection = null
    this.#requests.rejectAll(new NearportError('server-unreachable', reason.message, { cause: reason }))
    if (admitted) this.onstate(false)
    return reason
  }

  #receive(message: ServerMessage): void {
    switch (message.type) {
      case 'ok':
      case 'shares':
      case 'refused':
        if (!this.#requests.settle(message)) this.#options.log.debug({ type: message.type }, 'an answer came too late')
        break
      case 'presence':
        this.#watches.get(message.name)?.(message)
        break
      case 'changes':
        this.#following?.receive(message)
        break
      case 'displaced':
        this.#lose(message.name, new NearportError('displaced', `${message.name} is served from here no longer`))
        break
      case 'signal':
        this.onsignal(message)
        break
      case 'ended':
        this.onended(message)
        break
      case 'pong':
        break
      case 'challenge':
      case 'admitted':
        this.#connection?.drop(new NearportError('message-malformed', `the server sent ${message.type} out of order`))
        break
      default:
        message satisfies never
    }
  }

  /** Asks again for all that was asked for before the connection was lost. */
  #restore(connection: SignalingConnection): void {
    for (const [name, ephemeral] of this.#claims) {
      this.#requests.send(connection, { type: 'claim', name, ephemeral }).catch((error: unknown) => {
        const reason = asNearportError(error)
        if (reason.exitStatus === 2) this.#lose(name, reason)
        else connection.drop(reason)
      })
    }
    for (const name of this.#watches.keys()) {
      this.#requests.send(connection, { type: 'watch', name }).catch((error: unknown) => {
        connection.drop(asNearportError(error))
      })
    }
    this.#askToFollow(connection)
  }

  #askToFollow(connection: SignalingConnection): void {
    const following = this.#following
    following?.begin()
    if (following === null) return
    const refused = (error: unknown) => following.onrefused(asNearportError(error))
    this.#requests.send(connection, { type: 'follow' }).then(() => following.complete(), refused)
  }

  #lose(name: string, reason: NearportError): void {
    if (this.#claims.delete(name)) this.ondisplaced(name, reason)
  }

  #current(): SignalingConnection {
    if (this.#connection?.admitted) return this.#connection
    throw new NearportError('server-unreachable', `there is no connection to ${this.#options.url} now`)
  }

  async #request(body: RequestBody): Promise<ListedShare[]> {
    return this.#requests.send(this.#current(), body)
  }

  async #requestIfConnected(body: RequestBody): Promise<void> {
    if (!this.connected) return
    try {
      await this.#request(body)
    } catch (error) {
      // The connection went away under the request, and what was to be given up with it.
      if (!(error instanceof NearportError && error.code === 'server-unreachable')) throw error
    }
  }
}

const clientClosed = () => new NearportError('server-unreachable', 'the signaling client was closed')
