/**
 * A link: one proven connection between an access peer and a share peer, with all their shares on it. It goes from
 * negotiating to proving to ready, and ends closed, with a reason, from anywhere.
 */
import { Channels } from './channels.ts'
import { type ControlMessage, encodeControl, isBye, parseControl } from './control.ts'
import { type Sealer, shortIdentity } from './crypto.ts'
import { deferred } from './deferred.ts'
import { fingerprint } from './description.ts'
import type { Engine } from './engine.ts'
import { asNearportError, NearportError } from './errors.ts'
import { Handshake, type HandshakeOptions } from './handshake.ts'
import { LIMITS } from './limits.ts'
import { type Follower, LinkStatus, type StatusNews } from './link-status.ts'
import { Liveness } from './liveness.ts'
import type { Log } from './log.ts'
import type { NatReport } from './nat.ts'
import { Negotiation } from './negotiation.ts'
import { type LinkView, pathType } from './status.ts'
import type { Tunnel, TunnelRequest } from './tunnel.ts'

/** `remote` is whom the signaling server says this is; the proof holds it to that. */
export interface LinkOptions extends Omit<HandshakeOptions, 'exportsKeys'> {
  /** of the session */
  readonly sealer: Promise<Sealer>
  readonly engine: Engine
  readonly stunUrl: string | null
  readonly sendSignal: (box: string) => void
  /** ms until the link has to be ready; without it LIMITS.linkDeadline */
  readonly deadline?: number
  /** The tunnel that is asked for, once both sides have proven themselves. Throws when it is closed. */
  readonly tunnel: (request: TunnelRequest) => Tunnel
  /** Share side: the other side wants to be told of the status from now on. */
  readonly onfollow?: (follower: Follower) => void
  /** See NegotiationOptions. */
  readonly nat?: (() => Promise<NatReport | null>) | undefined
  readonly log: Log
}

export class Link {
  /** Resolves when both sides have proven themselves; rejects when the link closes before. */
  readonly ready: Promise<void>
  /** Resolves, with the reason, when the link is over. */
  readonly closed: Promise<NearportError>

  readonly #options: LinkOptions
  readonly #negotiation: Negotiation
  readonly #channels: Channels
  readonly #liveness: Liveness
  readonly #status: LinkStatus
  readonly #connected = deferred<void>()
  readonly #ready = deferred<void>()
  readonly #closed = deferred<NearportError>()
  readonly #gone = deferred<void>()
  readonly #handshake: Handshake
  readonly #deadline: ReturnType<typeof setTimeout>
  #proofDeadline: ReturnType<typeof setTimeout> | undefined
  #control: Promise<void> = this.#connected.promise
  #step: 'hello' | 'proof' | 'ready' | 'closed' = 'hello'
  #tunnel: Tunnel | null = null
  #path: LinkView['path'] = null

  constructor(options: LinkOptions) {
    this.#options = options
    this.#handshake = new Handshake({ ...options, exportsKeys: options.engine.exportKeyingMaterial !== undefined })
    this.ready = this.#ready.promise
    this.closed = this.#closed.promise
    // Whoever needs these waits for them; a link that fails before anybody does is not an unhandled rejection.
    this.ready.catch(() => undefined)
    this.#connected.promise.catch(() => undefined)

    const { role, self, engine } = options
    this.#negotiation = new Negotiation({
      ...options,
      initiator: role === 'access',
      self: { peer: self.peer, identity: self.identity.publicKey },
    })
    const owner = {
      role,
      pc: this.#negotiation.pc,
      closed: this.closed,
      send: (control: ControlMessage) => this.#send(control),
      buffered: () => this.#negotiation.buffered,
      heard: () => this.#liveness.heard(),
      answers: () => this.answers(),
      fail: (reason: NearportError) => this.#cutOff(reason),
    }
    this.#liveness = new Liveness(owner)
    this.#status = new LinkStatus(owner, options.onfollow)
    this.#channels = new Channels(owner, engine)
    this.#negotiation.onconnect = () => this.#connect()
    this.#negotiation.onmessage = (bytes) => this.#queue(bytes)
    this.#negotiation.onclose = (reason) => this.#end(reason)
    const deadline = options.deadline ?? LIMITS.linkDeadline
    this.#deadline = setTimeout(() => this.#cutOff(this.#negotiation.noPath()), deadline)
  }

  get connection(): RTCPeerConnection {
    return this.#negotiation.pc
  }

  receiveSignal(box: string): void {
    this.#negotiation.receiveSignal(box)
  }

  /** Access side: what the other side says of itself, from now on. To be called once. */
  follow(onnews: (news: StatusNews) => void): void {
    this.#status.follow(onnews)
  }

  /** What there is of a link that is ready; null if it is not. */
  view(): LinkView | null {
    if (this.#step !== 'ready' || this.#tunnel === null) return null
    const [{ roundTripMs }, { streams }, { bytes }] = [this.#liveness, this.#tunnel, this.#channels]
    return { ...this.#options.remote, path: this.#path, roundTripMs, streams, bytes }
  }

  /** See Liveness; false, too, for a link that is not ready. */
  async answers(): Promise<boolean> {
    return this.#step === 'ready' && this.#liveness.answers()
  }

  /** The server ended the negotiation; a link that is up already does not need it. */
  abandon(reason: NearportError): void {
    if (this.#proofDeadline === undefined) this.#end(this.#negotiation.abandoned(reason))
  }

  /**
   * Ends the link, and tells the other side why; the tunnel waits for another, or ends too. Resolves when the connection is gone: the
   * other side closes it once it was told, as engines drop what was sent just before they close.
   */
  async close(reason: NearportError): Promise<void> {
    if (this.#step === 'closed') return
    const told = this.#negotiation.send(encodeControl({ type: 'bye', code: reason.code, message: brief(reason) }))
    this.#finish(reason)
    if (told) {
      const timer = setTimeout(() => this.#gone.resolve(), LIMITS.byeDeadline)
      // Both sides may end it at once.
      this.#negotiation.onmessage = (bytes) => isBye(bytes) && this.#gone.resolve()
      this.#negotiation.onclose = () => this.#gone.resolve()
      await this.#gone.promise
      clearTimeout(timer)
    }
    this.#negotiation.destroy()
  }

  /** close() for those who need not wait for its end. */
  #cutOff(reason: NearportError): void {
    this.close(reason).catch((error) =>
      this.#options.log.error({ reason: asNearportError(error).message }, 'link not closed'),
    )
  }

  #connect(): void {
    clearTimeout(this.#deadline)
    this.#proofDeadline = setTimeout(() => this.#cutOff(unproven()), LIMITS.proofDeadline)
    this.#negotiation.send(this.#handshake.hello)
    this.#connected.resolve()
  }

  #send(control: ControlMessage): void {
    this.#negotiation.send(encodeControl(control))
  }

  /** Control messages are handled one after another: proving takes a while, and what follows a proof relies on it. */
  #queue(bytes: Uint8Array): void {
    this.#liveness.heard()
    this.#control = this.#control
      .then(() => (this.#step === 'closed' ? undefined : this.#receive(parseControl(bytes), bytes)))
      .catch((error) => this.#cutOff(asNearportError(error)))
  }

  async #receive(control: ControlMessage, bytes: Uint8Array): Promise<void> {
    if (control.type === 'bye') {
      this.#end(new NearportError(control.code, control.message))
    } else if (this.#step === 'hello' && control.type === 'hello') {
      await this.#receiveHello(control, bytes)
    } else if (this.#step === 'proof' && control.type === 'proof') {
      await this.#receiveProof(control)
    } else if (this.#step !== 'ready' || control.type === 'hello' || control.type === 'proof') {
      throw new NearportError('message-malformed', `the other side sent "${control.type}" before or after its time`)
    } else if (control.type === 'ping' || control.type === 'pong') {
      this.#liveness.receive(control)
    } else if (control.type === 'follow' || control.type === 'status' || control.type === 'link') {
      this.#status.receive(control)
    } else {
      this.#channels.receive(control)
    }
  }

  async #receiveHello(hello: Extract<ControlMessage, { type: 'hello' }>, bytes: Uint8Array): Promise<void> {
    const { localDescription, remoteDescription } = this.#negotiation.pc
    const near = fingerprint(localDescription?.sdp ?? '')
    const far = fingerprint(remoteDescription?.sdp ?? '')
    const keyingMaterial = this.#negotiation.keyingMaterial()
    const proof = await this.#handshake.receiveHello(hello, bytes, { near, far, keyingMaterial })
    if (this.#step !== 'hello') return
    this.#step = 'proof'
    this.#send({ type: 'proof', ...proof })
  }

  async #receiveProof(proof: Extract<ControlMessage, { type: 'proof' }>): Promise<void> {
    const request = await this.#handshake.receiveProof(proof)
    if (this.#step !== 'proof') return
    const tunnel = this.#options.tunnel(request)
    this.#step = 'ready'
    this.#negotiation.settle()
    clearTimeout(this.#deadline)
    clearTimeout(this.#proofDeadline)
    this.#tunnel = tunnel
    const waiting = tunnel.streams
    this.#channels.begin(tunnel)
    this.#liveness.start()
    this.#status.begin()
    this.#ready.resolve()
    this.#logReady(waiting).catch((error) =>
      this.#options.log.warn({ error: asNearportError(error).message }, 'path unknown'),
    )
  }

  /** `waiting`: connections that go on on this link. */
  async #logReady(waiting: number): Promise<void> {
    const { engine, remote, log } = this.#options
    const pair = await engine.selectedPair(this.#negotiation.pc)
    this.#path = pair && pathType(pair)
    const path =
      pair &&
      `${pair.local.type} ${pair.local.address}:${pair.local.port} to ${pair.remote.type} ${pair.remote.address}:${pair.remote.port}`
    const fields = { peer: remote.peer, owner: shortIdentity(remote.identity), engine: engine.name, path }
    log.info(waiting > 0 ? { ...fields, resumed: waiting } : fields, 'link ready')
  }

  /** The other side knows, or cannot be told. */
  #end(reason: NearportError): void {
    if (this.#step === 'closed') return
    this.#finish(reason)
    this.#negotiation.destroy()
  }

  #finish(reason: NearportError): void {
    this.#step = 'closed'
    clearTimeout(this.#deadline)
    clearTimeout(this.#proofDeadline)
    this.#liveness.stop()
    this.#channels.close(reason)
    this.#connected.reject(reason)
    this.#ready.reject(reason)
    this.#closed.resolve(reason)
  }
}

const unproven = () => new NearportError('proof-timeout', `no proof came within ${LIMITS.proofDeadline / 1000} s`)

/** What fits a control message. */
const brief = (reason: NearportError): string => reason.message.slice(0, 500)
