/** The access side's TCP: it listens on the local ports, and opens a stream for each connection. */
import { createServer, type Server, type Socket } from 'node:net'
import type { Access } from '../shared/access.ts'
import { asNearportError, NearportError } from '../shared/errors.ts'
import { formatHostPort, type HostPort } from '../shared/hostport.ts'
import { LIMITS } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import { Tally } from '../shared/tally.ts'
import { pump } from './pump.ts'

export interface Bind {
  readonly name: string
  /** Port 0 stands for any free one. */
  readonly address: HostPort
}

/** ports of --auto, both included */
export interface AutoRange {
  readonly host: string
  readonly first: number
  readonly last: number
}

export class Binds {
  readonly #access: Access
  readonly #log: Log
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()
  readonly #most: number
  readonly #refused: Tally

  /** `most`: connections of all ports at once. */
  constructor(access: Access, log: Log, most: number = LIMITS.streamsPerProcess) {
    this.#access = access
    this.#log = log
    this.#most = most
    this.#refused = new Tally(log, 'connections refused')
  }

  /** Opens a port; returns the address it has. Throws `bind-taken` or `bind-failed`. */
  async listen({ name, address }: Bind): Promise<HostPort> {
    // Reading starts once the stream is there; a till's half-close must not close the printer's answer.
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => this.#take(name, socket))
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(bindError(address, error)))
      server.listen({ ...address, ipv6Only: true }, resolve)
    })
    server.on('error', (error) => this.#log.error({ name, reason: error.message }, 'a bind failed'))
    this.#servers.push(server)
    const bound = server.address()
    return bound === null || typeof bound === 'string' ? address : { host: address.host, port: bound.port }
  }

  /** Opens the next free port of the range for each name, in order. Throws `no-free-port` or `bind-failed`. */
  async listenAuto(names: readonly string[], { host, first, last }: AutoRange): Promise<Map<string, HostPort>> {
    const bound = new Map<string, HostPort>()
    let port = first
    for (const name of names) {
      for (; !bound.has(name); port++) {
        if (port > last)
          throw new NearportError('no-free-port', `no port from ${first} to ${last} is free for "${name}"`)
        try {
          bound.set(name, await this.listen({ name, address: { host, port } }))
        } catch (error) {
          if (!(error instanceof NearportError && error.code === 'bind-taken')) throw error
        }
      }
    }
    return bound
  }

  /** Closes the ports and resets what is open. */
  close(): void {
    this.#refused.stop()
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async #take(name: string, socket: Socket): Promise<void> {
    if (this.#sockets.size >= this.#most) {
      this.#refused.add({ code: 'too-many-streams', name, reason: `${this.#most} connections are open already` })
      socket.resetAndDestroy()
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    const from = formatHostPort({ host: socket.remoteAddress ?? '?', port: socket.remotePort ?? 0 })
    // Until the pump has it: an error while waiting only means that there is nobody left to wait for.
    const ignore = (error: Error) => this.#log.debug({ name, from, reason: error.message }, 'client gone early')
    socket.on('error', ignore)
    try {
      const stream = await this.#access.open(name)
      if (socket.destroyed) {
        stream.reset('peer-reset', 'the client went away before the connection was made')
        return
      }
      socket.off('error', ignore)
      const { sent, received, reset } = await pump(socket, stream, () => 'peer-reset')
      const fields = { name, from, sent, received }
      if (reset === null) this.#log.debug(fields, 'connection done')
      else this.#log.warn({ ...fields, ...reset }, 'connection reset')
    } catch (error) {
      const { code, message, next } = asNearportError(error)
      this.#log.warn({ name, from, code, reason: message, next }, 'connection reset')
      // Not a plain close: a till must not believe that a dead printer took its job.
      socket.resetAndDestroy()
    }
  }
}

function bindError(address: HostPort, error: NodeJS.ErrnoException): NearportError {
  const text = formatHostPort(address)
  if (error.code === 'EADDRINUSE') return new NearportError('bind-taken', `${text} is in use by another program`)
  const why =
    error.code === 'EACCES'
      ? 'this user may not open the port'
      : error.code === 'EADDRNOTAVAIL'
        ? 'this machine has no such address'
        : error.message
  return new NearportError('bind-failed', `cannot listen on ${text}: ${why}`, { cause: error })
}
