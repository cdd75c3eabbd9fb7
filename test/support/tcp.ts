/** TCP ends for the tests: targets that stand for printers, and clients that stand for tills. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** A TCP server whose behaviour a test exchanges, and which can be switched off and on at the same address. */
export class TcpTarget {
  readonly host: string
  /** What happens to each connection. */
  onconnection: (socket: Socket) => void
  readonly #sockets = new Set<Socket>()
  #server: Server | null = null
  #port = 0

  constructor(onconnection: (socket: Socket) => void, host = '127.0.0.1') {
    this.onconnection = onconnection
    this.host = host
  }

  static async start(onconnection: (socket: Socket) => void, host?: string, port = 0): Promise<TcpTarget> {
    const target = new TcpTarget(onconnection, host)
    target.#port = port
    await target.on()
    return target
  }

  get port(): number {
    return this.#port
  }

  get address(): string {
    return `${this.host}:${this.#port}`
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#sockets.size
  }

  /** Listens, again at the port it had. */
  async on(): Promise<void> {
    if (this.#server !== null) return
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      // How a connection ended is read where it matters, by ending(); elsewhere a reset is no fault of the test.
      socket.on('error', () => socket.destroy())
      this.onconnection(socket)
    })
    this.#server.listen(this.#port, this.host)
    await once(this.#server, 'listening')
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the target has no port')
    this.#port = address.port
  }

  /** Nobody listens any more; open connections are cut. */
  async off(): Promise<void> {
    const server = this.#server
    if (server === null) return
    this.#server = null
    const closed = once(server, 'close')
    server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** The next connection; its `onconnection` is this promise instead. */
  next(): Promise<Socket> {
    const before = this.onconnection
    return new Promise((resolve) => {
      this.onconnection = (socket) => {
        this.onconnection = before
        resolve(socket)
      }
    })
  }
}

/** A connection that can be half-closed, once it is up. */
export async function dial(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ host, port, allowHalfOpen: true })
  await once(socket, 'connect')
  // As with a target: how it ended is read by ending().
  socket.on('error', () => socket.destroy())
  return socket
}

/** Reads to the end of the other side's direction. Rejects with the error of the socket. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await readEnd(socket)
  return Buffer.concat(chunks)
}

/** {@link readAll} that keeps only the SHA-256, in hex. */
export async function hashAll(socket: Socket): Promise<string> {
  const hash = createHash('sha256')
  socket.on('data', (chunk: Buffer) => hash.update(chunk))
  await readEnd(socket)
  return hash.digest('hex')
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function readEnd(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('end', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection was dropped without its end')))
  })
}

/** How a connection ends: "end" for the other side's FIN, else the code of the error. What arrives is dropped. */
export async function ending(socket: Socket): Promise<string> {
  try {
    socket.resume()
    await readEnd(socket)
    return 'end'
  } catch (error) {
    // Errors of Node's own are not of jest's Error class.
    const { code, message } = error as NodeJS.ErrnoException
    return code ?? message
  }
}

/** How a job ends that is sent to where it cannot be printed; a reset may come before connect() has returned. */
export function lostJob(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  const ended = ending(socket)
  socket.end('lost')
  return ended
}

/** Writes all, as fast as the socket takes it. */
export async function writeAll(socket: Socket, bytes: Uint8Array): Promise<void> {
  const step = 256 * 1024
  for (let at = 0; at < bytes.length; at += step) {
    if (!socket.write(bytes.subarray(at, at + step))) await once(socket, 'drain')
  }
}

/** Sends a job, ends our direction, and returns all that comes back. */
export async function exchange(port: number, job: Uint8Array | string): Promise<Buffer> {
  const socket = await dial(port)
  const answer = readAll(socket)
  socket.end(job)
  return answer
}

/** The next bytes of a socket, at least `count`; it is paused afterwards. */
export function readSome(socket: Socket, count: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const ended = () => reject(new Error(`the connection was over after ${bytes} of ${count} bytes`))
    const take = (chunk: Buffer) => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes < count) return
      socket.pause().off('data', take).off('end', ended).off('close', ended)
      resolve(Buffer.concat(chunks))
    }
    socket.on('data', take).once('end', ended).once('close', ended).resume()
  })
}
