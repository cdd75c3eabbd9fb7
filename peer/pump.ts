/** Moves bytes between one TCP socket and one stream, with half-close, reset and back-pressure both ways. */
import type { Socket } from 'node:net'
import { deferred } from '../shared/deferred.ts'
import type { ResetCode } from '../shared/frames.ts'
import { LIMITS } from '../shared/limits.ts'
import type { MuxStream } from '../shared/stream.ts'
import { noteBuffer } from './garbage.ts'
import { SocketWriter } from './socket-writer.ts'

export interface PumpEnd {
  /** Bytes from the socket into the stream, and out of it. */
  readonly sent: number
  readonly received: number
  /** Why the connection was reset; null when both directions ended in order. */
  readonly reset: { readonly by: 'far' | 'near'; readonly code: string; readonly reason: string } | null
}

/** Bytes so far, of all connections that count into it: as in {@link PumpEnd}, but `received` is what the socket took. */
export interface Traffic {
  sent: number
  received: number
}

/** How an error of the socket is told to the other side. */
export type SocketErrorCode = (error: NodeJS.ErrnoException) => ResetCode

/**
 * Joins the two until both directions have ended. The socket must have been made with `allowHalfOpen`, and may
 * still be connecting. Resolves, never rejects: how a connection ended is a result.
 */
export async function pump(
  socket: Socket,
  stream: MuxStream,
  codeOf: SocketErrorCode,
  traffic: Traffic = { sent: 0, received: 0 },
): Promise<PumpEnd> {
  socket.setNoDelay(true)
  socket.setKeepAlive(true, LIMITS.keepAlive)
  const [socketClosed, streamClosed] = [deferred<void>(), deferred<void>()]
  let sent = 0
  let received = 0
  let ended = false
  let reset: PumpEnd['reset'] = null

  const writer = new SocketWriter(socket, (bytes) => {
    traffic.received += bytes
    stream.taken(bytes)
  })
  stream.ondata = (bytes) => {
    received += bytes.length
    noteBuffer(bytes.length)
    writer.write(bytes)
  }
  stream.onend = () => writer.end()
  stream.onreset = (reason) => {
    reset ??= { by: 'far', code: reason.code, reason: reason.message }
    resetSocket(socket)
  }
  stream.ondrain = () => socket.resume()
  stream.onclose = () => streamClosed.resolve()

  socket.on('data', (bytes) => {
    sent += bytes.length
    noteBuffer(bytes.length)
    traffic.sent += bytes.length
    if (!stream.write(bytes)) socket.pause()
  })
  const endInOrder = () => {
    if (socket.destroyed) return
    ended = true
    stream.end()
  }
  // Node 20 also says "end" where a reset came while bytes were unread, which would make half a job a whole one. A
  // write tells the two apart: ours, or the one that waits, which fails in this turn.
  socket.on('end', () => {
    if (socket.writableEnded) endInOrder()
    else if (socket.writableLength > 0) setImmediate(endInOrder)
    else socket.write(Buffer.alloc(0), (error) => error || endInOrder())
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    const code = codeOf(error)
    reset ??= { by: 'near', code, reason: error.message }
    stream.reset(code, error.message)
  })
  // A socket that is not read, for want of room on the way, does not tell of a reset; an empty write does.
  const probe = setInterval(() => {
    if (socket.isPaused() && socket.writableLength === 0 && !socket.writableEnded) socket.write(Buffer.alloc(0))
  }, LIMITS.pausedProbe)
  socket.on('close', () => {
    clearInterval(probe)
    // In order, the stream goes on until the other side has what is still queued; else this is a reset.
    if (!(ended && socket.writableFinished)) stream.reset('peer-reset', 'the connection was dropped')
    socketClosed.resolve()
  })
  socket.resume()
  await Promise.all([socketClosed.promise, streamClosed.promise])
  return { sent, received, reset }
}

/**
 * One that is still connecting is reset once it is up, so that nobody takes it for an empty job. One whose end is just
 * being told to the kernel is reset after that: Node would fail (EINVAL), and never close it.
 */
function resetSocket(socket: Socket): void {
  const isEnding = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0
  if (socket.connecting) socket.once('connect', () => resetSocket(socket))
  else if (isEnding) socket.once('finish', () => resetSocket(socket))
  else socket.resetAndDestroy()
}
