/** What `nearport/browser` offers a page. `docs/browser.md` shows how to use it. */
import type { NearportError } from '../../shared/errors.ts'

export interface ConnectOptions {
  /** The link `http(s)://HOST/#KEY`. Without it that of the page: its own address, and what stands after # in it. */
  readonly invite?: string | URL
  /** Gives the attempt up; connect() then rejects with its reason. */
  readonly signal?: AbortSignal
}

export interface OpenOptions {
  /** Gives the attempt up; open() then rejects with its reason. */
  readonly signal?: AbortSignal
}

/** A value that changes. */
export interface Live<T> {
  readonly current: T
  /** Calls the listener now and at each change; returns what ends that. */
  subscribe(listener: (value: T) => void): () => void
}

export interface Network {
  /** id of this page among the peers, new at each connect() */
  readonly peer: string
  /** Ed25519 public key of this browser for this origin, base64url; its private key cannot be read out. */
  readonly identity: string
  /** Whether the signaling server is reached now. Open connections do not need it. */
  readonly connected: boolean
  /** All shares of the network, by name. Empty until the server has told them. */
  shares(): Live<readonly ShareView[]>
  /** Who is connected to the signaling server, by id. Empty until the server has told them. */
  peers(): Live<readonly PeerView[]>
  /** Whether the signaling server is reached. */
  state(): Live<boolean>
  /**
   * A connection to the target behind a name. Rejects with `name-offline`, `name-unknown`, `owner-changed`, `link-timeout`, … When the
   * target refuses, that comes later: `readable` and `writable` fail with `target-refused`, ….
   */
  open(name: string, options?: OpenOptions): Promise<Connection>
  /** The path to whoever serves a name; null while there is no link. Makes no link by itself. */
  path(name: string): Promise<PathView | null>
  /**
   * Accepts an owner of a name from now on. `owner`: what the user has seen and agreed to, not what the server says by
   * then. Rejects with `usage` or `config-failed`.
   */
  trust(name: string, owner: string): Promise<void>
  /** Resets every connection, and leaves the network. Happens by itself when the page goes away. */
  close(): Promise<void>
}

/** One TCP connection to a target. */
export interface Connection {
  readonly name: string
  /** Bytes from the target; ends at its FIN, fails with a NearportError at a reset. */
  readonly readable: ReadableStream<Uint8Array>
  /**
   * Bytes to the target. A write resolves when there is room for more. close() is a half-close (FIN), and resolves
   * when the target has taken all; abort() resets.
   */
  readonly writable: WritableStream<Uint8Array>
  /** bytes the target has taken; exact once a job has ended, and told in steps of 64 KiB to 1 MiB before that */
  readonly acknowledged: Live<number>
  /** Resets both directions. */
  abort(reason?: string): void
  /** Resolves when both directions are over: null in order, or what it was reset with. Never rejects. */
  readonly closed: Promise<NearportError | null>
}

export interface ShareView {
  readonly name: string
  /** Ed25519 public key of the environment that reserved or serves it, base64url */
  readonly owner: string
  /**
   * The owner that this browser met when it first used the name; null before. If it is not `owner`, open() rejects with
   * `owner-changed` until the owner is back, or trust() accepts the new one.
   */
  readonly knownOwner: string | null
  readonly state: 'online' | 'offline'
  readonly reserved: boolean
  /** id of the process that serves it; null when offline */
  readonly peer: string | null
  /** What the share says of itself over the sealed channel; null while unknown. */
  readonly status: ShareStatus | null
}

export interface ShareStatus {
  readonly health: {
    readonly state: 'up' | 'down' | 'unknown' | 'off'
    readonly code: string | null
    /** ms since the state holds */
    readonly sinceMs: number
  }
  /** connections to the target now, and those that wait for a free place */
  readonly streams: number
  readonly queued: number
  /** bytes to and from the target since the share began, and ms since then */
  readonly toTarget: number
  readonly fromTarget: number
  readonly servedMs: number
}

export interface PeerView {
  readonly peer: string
  /** Ed25519 public key of its environment, base64url */
  readonly identity: string
  /** names it serves */
  readonly serves: readonly string[]
  /** Links it has now, as it says itself over the sealed channel; empty while unknown. */
  readonly links: readonly LinkView[]
}

export interface LinkView {
  /** of the access side */
  readonly peer: string
  readonly identity: string
  readonly path: 'host' | 'srflx' | 'prflx' | null
  readonly roundTripMs: number | null
  readonly streams: number
  readonly bytes: number
}

export interface PathEnd {
  /** Empty where the browser does not tell it. */
  readonly address: string
  readonly port: number
  /** `host`, `srflx` or `prflx` (RFC 8445) */
  readonly type: string
}

export interface PathView {
  readonly local: PathEnd
  readonly remote: PathEnd
  readonly roundTripMs: number | null
  readonly bytesSent: number
  readonly bytesReceived: number
}
