/** The HTTP server below Fastify: who may connect to it, and how long a stranger may take for what. */
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { asNearportError, NearportError } from '../shared/errors.ts'
import type { Limits } from '../shared/limits.ts'
import type { Doors } from './doors.ts'
import type { DropReason, Drops } from './drops.ts'
import { sourceOf } from './source.ts'

/** PEM */
export interface Certificate {
  readonly cert: Buffer
  readonly key: Buffer
}

/** A page asks for a few files. More requests come over a new connection, and these are counted. */
const REQUESTS_PER_CONNECTION = 100

/** Throws `tls-invalid`. */
export function makeHttpServer(
  listener: RequestListener,
  tls: Certificate | undefined,
  limits: Limits,
  doors: Doors,
  drops: Drops,
): Server {
  const { admissionDeadline } = limits
  const timeouts = {
    headersTimeout: admissionDeadline,
    requestTimeout: admissionDeadline,
    keepAliveTimeout: admissionDeadline,
    connectionsCheckingInterval: Math.ceil(admissionDeadline / 10),
  }
  const server =
    tls === undefined
      ? createServer(timeouts, listener)
      : tlsServer({ ...timeouts, ...tls }, admissionDeadline, listener)
  // For who does not read an answer. Later than the other timeouts, as those are counted.
  server.setTimeout(2 * admissionDeadline)
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION
  server.maxConnections = limits.signalingConnections + 2 * limits.signalingPending
  guard(server, doors)
  server.on('drop', (dropped) => drops.count('server full', String(dropped?.remoteAddress)))
  // Also what goes wrong in a TLS handshake.
  server.on('clientError', (error, { remoteAddress = '' }: Partial<Socket>) => {
    const reason = dropReason(error)
    if (reason !== null) drops.count(reason, sourceOf(remoteAddress) ?? 'gone')
  })
  return server
}

function tlsServer(options: Certificate & object, handshakeTimeout: number, listener: RequestListener): Server {
  try {
    return createTlsServer({ ...options, handshakeTimeout }, listener)
  } catch (error) {
    const reason = asNearportError(error).message
    throw new NearportError('tls-invalid', `the certificate or its key is not usable: ${reason}`, { cause: error })
  }
}

/** Hands on only the connections that may enter: both kinds of server take them by this event, TLS before its handshake. */
function guard(server: Server, doors: Doors): void {
  const listeners = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    if (doors.enter(socket)) for (const listener of listeners) listener.call(server, socket)
  })
}

/** Null for who just went away. */
function dropReason(error: Error & { readonly code?: string }): DropReason | null {
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'request too slow'
  if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'TLS handshake too slow'
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return null
  return error.code?.startsWith('HPE_') ? 'request malformed' : 'TLS handshake failed'
}
