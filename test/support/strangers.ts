/** Hosts that mean a server no good, and members beside them: connections from any address of 127.0.0.0/8. */
import { connect, type Socket } from 'node:net'
import { nanoid } from 'nanoid'
import { WebSocket } from 'ws'
import type { Identity } from '../../shared/crypto.ts'
import { newIdentity, RawPeer, type TestSignaling } from './signaling.ts'

export class Strangers {
  readonly #port: number
  readonly #sockets = new Set<Socket>()
  #waiting: (() => void)[] = []

  constructor(port: number) {
    this.#port = port
  }

  /** Connections that the server has not ended. */
  get open(): number {
    return this.#sockets.size
  }

  /** Connects from `localAddress`, says `text`, and then nothing; resolves when the system has the connection. */
  async connect(localAddress: string, text = ''): Promise<Socket> {
    const socket = connect({ host: '127.0.0.1', port: this.#port, localAddress })
    this.#sockets.add(socket)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      for (const resolve of this.#waiting.splice(0)) resolve()
    })
    // Reading, so that the end is seen.
    socket.resume()
    await new Promise<void>((resolve) => {
      socket.once('connect', resolve)
      socket.once('close', () => resolve())
      socket.on('error', () => resolve())
    })
    if (text !== '') socket.write(text)
    return socket
  }

  async flood(addresses: readonly string[], each: number, text = ''): Promise<void> {
    for (let i = 0; i < each; i++) await Promise.all(addresses.map((address) => this.connect(address, text)))
  }

  /** Resolves when at most `most` are open. */
  async until(most: number): Promise<void> {
    while (this.open > most) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  end(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** `count` addresses of loopback, from 127.0.`net`.1 on. */
export const loopback = (net: number, count: number): string[] =>
  Array.from({ length: count }, (_, at) => `127.0.${net}.${at + 1}`)

/** A WebSocket from that address, with those headers; any certificate will do. */
export const socketFrom = (localAddress: string, headers: Record<string, string> = {}) =>
  class extends WebSocket {
    constructor(url: string) {
      super(url, { localAddress, headers, rejectUnauthorized: false })
    }
  }

/** A peer that connects from that address, and is admitted unless `admitted` is false. */
export async function member(
  { url, networkKey }: TestSignaling,
  localAddress: string,
  headers: Record<string, string> = {},
  identity?: Identity,
  admitted = true,
): Promise<RawPeer> {
  const peer = await RawPeer.connect(
    url,
    identity ?? (await newIdentity()),
    nanoid(),
    socketFrom(localAddress, headers),
  )
  if (admitted) await peer.admit(networkKey)
  return peer
}
