/** A signaling server on loopback, clients for it, and a peer that says whatever a test wants it to say. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nanoid } from 'nanoid'
import { WebSocket } from 'ws'
import { Applicant, type Application } from '../../shared/applicant.ts'
import { type Bytes, Identity, randomBytes } from '../../shared/crypto.ts'
import { socketUrl } from '../../shared/invite.ts'
import type { Log } from '../../shared/log.ts'
import { type ClientMessage, parseServerMessage, type ServerMessage } from '../../shared/messages.ts'
import { SignalingClient, type SignalingClientOptions } from '../../shared/signaling-client.ts'
import { type SignalingOptions, type SignalingServer, startSignaling } from '../../signaling/server.ts'

const cleanups: (() => Promise<void> | void)[] = []

/** For afterEach: closes what the helpers of this file have opened, the newest first. */
export async function closeTestSignaling(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nearport-test-'))
  cleanups.push(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export interface LogEntry {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: Readonly<Record<string, unknown>>
  readonly message: string
}

export function collectingLog(): Log & { readonly entries: LogEntry[] } {
  const entries: LogEntry[] = []
  const at = (level: LogEntry['level']) => (fields: object, message: string) => {
    entries.push({ level, fields: { ...fields }, message })
  }
  return { entries, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

export const newIdentity = async (): Promise<Identity> => (await Identity.generate()).identity

export interface TestSignaling {
  readonly server: SignalingServer
  readonly url: string
  readonly networkKey: Bytes
  readonly dataDir: string
  readonly log: ReturnType<typeof collectingLog>
  /** Not started; closed by {@link closeTestSignaling}. */
  newClient(identity?: Identity, options?: Partial<SignalingClientOptions>): Promise<SignalingClient>
  /** Admitted. */
  newPeer(identity?: Identity, peer?: string): Promise<RawPeer>
  /** Stops the server and starts another one on the same port and data. */
  restart(): Promise<TestSignaling>
}

export async function startTestSignaling(options: Partial<SignalingOptions> = {}): Promise<TestSignaling> {
  const log = collectingLog()
  const networkKey = options.networkKey ?? randomBytes(32)
  const dataDir = options.dataDir ?? (await temporaryFolder())
  const server = await startSignaling({ host: '127.0.0.1', port: 0, stunPort: 0, log, ...options, networkKey, dataDir })
  cleanups.push(() => server.close())
  return {
    server,
    url: server.url,
    networkKey,
    dataDir,
    log,
    async newClient(identity, clientOptions) {
      const client = new SignalingClient({
        url: server.url,
        networkKey,
        identity: identity ?? (await newIdentity()),
        peer: nanoid(),
        WebSocket,
        log: collectingLog(),
        ...clientOptions,
      })
      cleanups.push(() => client.close())
      return client
    },
    async newPeer(identity, peer) {
      const raw = await RawPeer.connect(server.url, identity ?? (await newIdentity()), peer)
      await raw.admit(networkKey)
      return raw
    },
    async restart() {
      await server.close()
      return startTestSignaling({ ...options, networkKey, dataDir, port: server.port })
    },
  }
}

/** A peer message by message, over a real WebSocket, that checks what the server sends against the schema. */
export class RawPeer {
  readonly identity: Identity
  readonly peer: string
  readonly socket: WebSocket
  /** Resolves with the status of the close frame. */
  readonly closed: Promise<number>
  readonly #received: ServerMessage[] = []
  /** Of admission, as they were sent. */
  #hello = ''
  #challenge = ''
  #waiting: (() => void)[] = []
  #isClosed = false
  #requests = 0

  private constructor(socket: WebSocket, identity: Identity, peer: string) {
    this.socket = socket
    this.identity = identity
    this.peer = peer
    socket.on('message', (data) => {
      const message = parseServerMessage(data.toString())
      if (message.type === 'challenge') this.#challenge = data.toString()
      this.#received.push(message)
      this.#wake()
    })
    this.closed = new Promise((resolve) => {
      socket.on('close', (status) => {
        this.#isClosed = true
        this.#wake()
        resolve(status)
      })
    })
  }

  static async connect(
    url: string,
    identity: Identity,
    peer: string = nanoid(),
    Socket: new (url: string) => WebSocket = WebSocket,
  ): Promise<RawPeer> {
    const socket = new Socket(socketUrl(url))
    const raw = new RawPeer(socket, identity, peer)
    cleanups.push(() => socket.terminate())
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    return raw
  }

  /** Waits for the next message of a type, and leaves the others. Throws when the connection closes instead. */
  async next<T extends ServerMessage['type']>(type: T): Promise<Extract<ServerMessage, { type: T }>> {
    for (;;) {
      const at = this.#received.findIndex((message) => message.type === type)
      const [found] = at < 0 ? [] : this.#received.splice(at, 1)
      if (found !== undefined && isOfType(found, type)) return found
      if (this.#isClosed) throw new Error(`closed before ${type}; got ${JSON.stringify(this.#received)}`)
      await this.#news()
    }
  }

  /** Messages that came and that no test has taken. */
  get unread(): readonly ServerMessage[] {
    return this.#received
  }

  send(message: ClientMessage): void {
    this.socket.send(JSON.stringify(message))
  }

  /** `change`: other fields than those of an honest peer. */
  async hello(change: object = {}): Promise<void> {
    const honest = (await Applicant.of(randomBytes(32), this.identity)).hello(this.peer)
    this.#hello = JSON.stringify({ ...JSON.parse(honest), ...change })
    this.socket.send(this.#hello)
  }

  /** The `admit` that answers the last challenge; tests spoil it. */
  async application(networkKey: Bytes, signer: Identity = this.identity): Promise<Application> {
    return (await Applicant.of(networkKey, signer)).apply(this.#hello, this.#challenge)
  }

  /** Throws when the server refuses this peer, or does not prove itself. */
  async admit(networkKey: Bytes, change: object = {}): Promise<{ stunPort: number | null }> {
    await this.hello(change)
    await this.next('challenge')
    const { admit, proofOfServer } = await this.application(networkKey)
    this.send(admit)
    const admitted = await this.next('admitted')
    if (admitted.proof !== proofOfServer) throw new Error('the server did not prove itself')
    return admitted
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  #news(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Sends a request, and returns "ok" or the code of the refusal. */
  async ask(body: RequestBody): Promise<string> {
    const request = ++this.#requests
    this.send({ ...body, request })
    for (;;) {
      const at = this.#received.findIndex(
        (message) => (message.type === 'ok' || message.type === 'refused') && message.request === request,
      )
      const [answer] = at < 0 ? [] : this.#received.splice(at, 1)
      if (answer !== undefined) return answer.type === 'refused' ? answer.code : 'ok'
      if (this.#isClosed) throw new Error(`closed before an answer; got ${JSON.stringify(this.#received)}`)
      await this.#news()
    }
  }

  /** Resolves when the server has handled everything sent before. */
  async settled(): Promise<void> {
    this.send({ type: 'ping' })
    await this.next('pong')
  }

  /** Waits to be cut off, and returns why and with which status. */
  async cutOff(): Promise<{ code: string; status: number }> {
    const status = await this.closed
    const refusal = this.#received.find((message) => message.type === 'refused' && message.request === null)
    return { code: refusal?.type === 'refused' ? refusal.code : 'none', status }
  }
}

type Request = Extract<ClientMessage, { request: number }>
type RequestBody = Request extends infer R ? (R extends Request ? Omit<R, 'request'> : never) : never

const isOfType = <T extends ServerMessage['type']>(
  message: ServerMessage,
  type: T,
): message is Extract<ServerMessage, { type: T }> => message.type === type
