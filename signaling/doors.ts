/** Who may connect: asked at the first packet, before TLS and before HTTP, and again where a proxy forwards others. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Limits } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import { Bag } from './bag.ts'
import type { Drops } from './drops.ts'
import { type Place, Places } from './places.ts'
import { sourceOf, type TrustedProxies } from './source.ts'

export class Doors {
  readonly #proxies: TrustedProxies
  readonly #places: Places
  readonly #limits: Limits
  readonly #drops: Drops
  readonly #log: Log
  /** By endpoint: what TLS makes of a socket does not know the socket. */
  readonly #placeAt = new Map<string, Place>()
  /** Connections of proxies that forward nobody yet. */
  readonly #unplaced = new Bag<Socket>()
  #hasWarned = false
  #isClosed = false

  constructor(proxies: TrustedProxies, limits: Limits, drops: Drops, log: Log) {
    this.#proxies = proxies
    this.#limits = limits
    this.#drops = drops
    this.#log = log
    this.#places = new Places(limits, drops)
  }

  /** A host has connected; false if it was dropped. */
  enter(socket: Socket): boolean {
    const { remoteAddress = '' } = socket
    const source = sourceOf(remoteAddress)
    // It is gone already.
    if (source === null || this.#isClosed) socket.destroy()
    else if (this.#proxies.has(remoteAddress)) this.#enterProxied(socket, source)
    else this.#enterDirect(socket, source)
    return !socket.destroyed
  }

  /** The place of a client that asks for a WebSocket; else the HTTP status that says why it gets none. */
  placeOf(request: IncomingMessage): Place | 400 | 429 {
    const { socket, headers } = request
    const { remoteAddress = '' } = socket
    const forwardedFor = headers['x-forwarded-for']
    if (!this.#proxies.has(remoteAddress)) {
      if (forwardedFor !== undefined) this.#warn(remoteAddress)
      return this.#placeAt.get(endpointOf(socket)) ?? 429
    }
    const client = this.#proxies.clientOf(remoteAddress, forwardedFor === undefined ? undefined : String(forwardedFor))
    const source = client === null ? null : sourceOf(client)
    if (source === null) {
      this.#drops.count('forwarded without an address', remoteAddress)
      return 400
    }
    const place = this.#places.take(source, () => socket.destroy())
    if (place === null) return 429
    socket.once('close', () => place.leave())
    return place
  }

  /** Ends the connections of all strangers, and lets nobody in any more. */
  close(): void {
    this.#isClosed = true
    this.#places.close()
    for (const socket of this.#unplaced.all()) socket.destroy()
  }

  #enterDirect(socket: Socket, source: string): void {
    const place = this.#places.take(source, () => socket.resetAndDestroy())
    if (place === null) {
      socket.resetAndDestroy()
      return
    }
    const endpoint = endpointOf(socket)
    this.#placeAt.set(endpoint, place)
    socket.once('close', () => {
      place.leave()
      if (this.#placeAt.get(endpoint) === place) this.#placeAt.delete(endpoint)
    })
  }

  /** Whom it forwards is known with its request. */
  #enterProxied(socket: Socket, source: string): void {
    if (this.#unplaced.size >= this.#limits.signalingPending) {
      this.#drops.count('gave way to another', source)
      this.#unplaced.random()?.resetAndDestroy()
    }
    this.#unplaced.add(socket)
    socket.once('close', () => this.#unplaced.delete(socket))
  }

  #warn(proxy: string): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    const next = `if it is your proxy, start the server with --trusted-proxy ${proxy}: all who come through it count as one host`
    this.#log.warn({ proxy, next }, 'a request was forwarded by a host that is not trusted to')
  }
}

/** Tells apart the sockets that are open. */
const endpointOf = ({ localAddress, remoteAddress, remotePort }: Socket): string =>
  `${localAddress} ${remoteAddress} ${remotePort}`
