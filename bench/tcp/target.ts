/** What the connections of the bench end at: it does the jobs of a Line. */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { HEADER_BYTES, STALL } from './line.ts'

const CHUNK = Buffer.alloc(256 * 1024)
const DONE = Buffer.of(6)

export class Target {
  readonly port: number
  readonly #server: Server
  readonly #sockets: Set<Socket>

  private constructor(server: Server, sockets: Set<Socket>, port: number) {
    this.#server = server
    this.#sockets = sockets
    this.port = port
  }

  static async start(host = '127.0.0.1'): Promise<Target> {
    const sockets = new Set<Socket>()
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      sockets.add(socket)
      // A run that is over resets what it has left.
      socket.on('error', () => socket.destroy())
      socket.on('close', () => sockets.delete(socket))
      serve(socket)
    })
    server.listen({ port: 0, host, backlog: 1024 })
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('the target has no port')
    return new Target(server, sockets, address.port)
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}

function serve(socket: Socket): void {
  let head = Buffer.alloc(0)
  /** bytes of the job that are still to come up; null between two jobs */
  let left: number | null = null
  let sending = Promise.resolve()

  const begin = (bytes: Buffer): void => {
    const [up, down] = [bytes.readBigUInt64BE(), Number(bytes.readBigUInt64BE(8))]
    if (up === STALL) {
      socket.pause()
      return
    }
    left = Number(up)
    if (down > 0) sending = send(socket, down)
  }
  const end = (): void => {
    left = null
    sending = sending.then(() => {
      socket.write(DONE)
    })
  }
  socket.on('data', (bytes: Buffer) => {
    for (let at = 0; at < bytes.length; ) {
      if (left === null) {
        const more = bytes.subarray(at, at + HEADER_BYTES - head.length)
        at += more.length
        head = Buffer.concat([head, more])
        if (head.length < HEADER_BYTES) return
        begin(head)
        head = Buffer.alloc(0)
        if (left === null) return
      } else {
        const taken = Math.min(left, bytes.length - at)
        at += taken
        left -= taken
      }
      if (left === 0) end()
    }
  })
  socket.on('end', () => socket.end())
}

/** Resolves once the socket has all, or is gone. */
function send(socket: Socket, bytes: number): Promise<void> {
  return new Promise((resolve) => {
    let left = bytes
    const fill = () => {
      for (let more = true; more && left > 0 && !socket.destroyed; ) {
        const size = Math.min(left, CHUNK.length)
        left -= size
        more = socket.write(size === CHUNK.length ? CHUNK : CHUNK.subarray(0, size))
      }
      if (left > 0 && !socket.destroyed) return
      socket.off('drain', fill).off('close', fill)
      resolve()
    }
    socket.on('drain', fill).on('close', fill)
    fill()
  })
}
