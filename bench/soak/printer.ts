/** The printers: each takes many connections, keeps account of every one, and answers a job with what it received. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { inspect } from './pattern.ts'

/** What a printer got in one connection. */
export interface Receipt {
  readonly printer: string
  readonly openedAt: number
  readonly endedAt: number
  readonly bytes: number
  readonly sha256: string
  /** the job its first bytes name; null if they do not */
  readonly job: number | null
  /** what that job says of its own size */
  readonly size: number
  /** what of it is not as it was sent */
  readonly wrong: string | null
  /** fin: the sender ended it in order. reset: it was cut off. off: the printer was switched off. */
  readonly end: 'fin' | 'reset' | 'off'
}

/** What a printer says after a job of these bytes. */
export const answerTo = (job: number | null, sha256: string): string => `${job ?? '?'} ${sha256}\n`

export class Printer {
  readonly name: string
  readonly port: number
  /** Every connection that is over. */
  readonly receipts: Receipt[] = []
  readonly #sockets = new Set<Socket>()
  #server: Server | null = null
  #stalled = false

  constructor(name: string, port: number) {
    this.name = name
    this.port = port
  }

  /** Connections that are open. */
  get open(): number {
    return this.#sockets.size
  }

  async on(): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#take(socket))
    server.listen(this.port, '127.0.0.1')
    await once(server, 'listening')
    this.#server = server
  }

  /** As when the power goes: whoever is connected gets a reset, and whoever comes is refused. */
  async off(): Promise<void> {
    const server = this.#server
    if (server === null) return
    this.#server = null
    const closed = once(server, 'close')
    server.close()
    for (const socket of this.#sockets) socket.resetAndDestroy()
    await closed
  }

  /** Out of paper: it takes connections and reads nothing. */
  stall(): void {
    this.#stalled = true
    for (const socket of this.#sockets) socket.pause()
  }

  resume(): void {
    this.#stalled = false
    for (const socket of this.#sockets) socket.resume()
  }

  #take(socket: Socket): void {
    const openedAt = Date.now()
    const chunks: Buffer[] = []
    this.#sockets.add(socket)
    let over = false
    const finish = (end: Receipt['end']): Receipt | null => {
      if (over) return null
      over = true
      const received = Buffer.concat(chunks)
      chunks.length = 0
      const receipt: Receipt = {
        printer: this.name,
        openedAt,
        endedAt: Date.now(),
        bytes: received.length,
        sha256: createHash('sha256').update(received).digest('hex'),
        ...inspect(received),
        end,
      }
      this.receipts.push(receipt)
      return receipt
    }
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('end', () => {
      // Node 20 also says "end" where a reset came while bytes were unread; only a write tells the two apart.
      socket.write(Buffer.alloc(0), (error) => {
        const receipt = error ? null : finish('fin')
        if (receipt !== null) socket.end(answerTo(receipt.job, receipt.sha256))
      })
    })
    // How it ended is told by "close".
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.#sockets.delete(socket)
      finish(this.#server === null ? 'off' : 'reset')
    })
    if (this.#stalled) socket.pause()
  }
}
