/** The signaling server: HTTP with one WebSocket route, the store behind it, and STUN beside it. */
import { STATUS_CODES } from 'node:http'
import Fastify, { type FastifyInstance } from 'fastify'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Bytes } from '../shared/crypto.ts'
import { asNearportError, NearportError } from '../shared/errors.ts'
import { formatHostPort } from '../shared/hostport.ts'
import { formatInvite } from '../shared/invite.ts'
import { type Limits, withLimits } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import { Admission, networkOf } from './admission.ts'
import { boundedLog } from './bounded-log.ts'
import { fittedTo, openFilesMost } from './descriptors.ts'
import { Doors } from './doors.ts'
import { Drops } from './drops.ts'
import { Holds } from './holds.ts'
import { type Certificate, makeHttpServer } from './http-server.ts'
import { Hub } from './hub.ts'
import { Peers } from './peers.ts'
import { defaultUrl } from './public-url.ts'
import { releaseNobodys } from './reservations.ts'
import { type AddressRange, sourceOf, TrustedProxies } from './source.ts'
import { Store } from './store.ts'
import { type StunServer, startStun } from './stun.ts'
import { readWebFiles, serveWebFiles } from './web-files.ts'

/** RFC 6797; a year. */
const HSTS = 'max-age=31536000'

export interface SignalingOptions {
  /** An address of this host, or 0.0.0.0 or :: for all. */
  readonly host: string
  /** TCP; 0 takes a free one. */
  readonly port: number
  readonly dataDir: string
  /** Given by the operator; without it a new data folder makes one, and an old one does without. */
  readonly networkKey?: Bytes | undefined
  /** What the invite names, ending with "/"; by default an address of this host. */
  readonly publicUrl?: string | undefined
  /** UDP; 0 takes a free one, null answers no STUN. By default the port listened on. */
  readonly stunPort?: number | null | undefined
  /** UDP; the second port of STUN, null for none. By default the one after stunPort. */
  readonly stunAlternatePort?: number | null | undefined
  /** A second address of this host for STUN; `host` must be a single address then. */
  readonly stunAlternateAddress?: string | undefined
  /** A folder whose files are served to browsers; without it none are. */
  readonly webDir?: string | undefined
  readonly tls?: Certificate | undefined
  /** Whose X-Forwarded-For is believed; by default nobody's. */
  readonly trustedProxies?: readonly AddressRange[] | undefined
  readonly log: Log
  readonly limits?: Partial<Limits> | undefined
}

export interface SignalingServer {
  /** Where peers reach it, ending with "/". */
  readonly url: string
  readonly port: number
  readonly stunPort: number | null
  readonly stunAlternatePort: number | null
  /** Whether the data folder was new. */
  readonly firstStart: boolean
  /** The link for `nearport enable`; null when the server does not know the key. */
  readonly invite: string | null
  /** Tells the peers, lets writes finish, and resolves when everything is closed. */
  close(): Promise<void>
}

/**
 * Throws `store-locked`, `store-failed`, `folder-unsafe`, `config-invalid` (the data folder), `key-mismatch`,
 * `listen-failed`, `tls-invalid`.
 */
export async function startSignaling(options: SignalingOptions): Promise<SignalingServer> {
  const wanted = withLimits(options.limits)
  const limits = fittedTo(wanted, openFilesMost())
  const log = boundedLog(options.log, limits.logLines, limits.dropsTold)
  warnIfFewer(limits, wanted, log)
  const store = await Store.open({ folder: options.dataDir, log })
  await releaseNobodys(store, log)
  const drops = new Drops(options.log, limits.dropsTold)
  const doors = new Doors(new TrustedProxies(options.trustedProxies ?? []), limits, drops, log)
  const hub = new Hub(store, await Holds.open(options.dataDir, limits, log), limits, log)
  const opened: { close(): Promise<void> | void }[] = [
    {
      close: () => {
        drops.stop()
        log.stop()
      },
    },
    {
      close: async () => {
        await hub.stop()
        await store.close()
      },
    },
  ]
  // In the opposite order of opening: a connection uses the store until it is closed.
  const close = async () => {
    for (const part of opened.splice(0).reverse()) await part.close()
  }
  try {
    const network = await networkOf(store, options.networkKey ?? null)
    const peers = new Peers(hub, new Admission(network.verifier), limits, log)
    const app = await makeApp(options, { limits, hub, peers, doors, drops })
    opened.push({ close: () => app.close() })
    const port = await listen(app, options)
    const stun = await openStun(options, port)
    if (stun !== null) opened.push(stun)
    peers.stunPort = stun?.port ?? null
    if (network.isNew) await store.begin(network.verifier)
    const url = options.publicUrl ?? defaultUrl(options.host, port, options.tls !== undefined)
    const invite = network.key === null ? null : formatInvite({ url, networkKey: network.key })
    const stunAlternatePort = stun?.alternatePort ?? null
    return { url, port, stunPort: peers.stunPort, stunAlternatePort, firstStart: network.isNew, invite, close }
  } catch (error) {
    await close()
    throw error
  }
}

interface Parts {
  readonly limits: Limits
  readonly hub: Hub
  readonly peers: Peers
  readonly doors: Doors
  readonly drops: Drops
}

async function makeApp(options: SignalingOptions, parts: Parts): Promise<FastifyInstance> {
  const { limits, hub, peers, doors, drops } = parts
  const app = Fastify({
    logger: false,
    bodyLimit: 1,
    forceCloseConnections: true,
    serverFactory: (listener) => makeHttpServer(listener, options.tls, limits, doors, drops),
  })
  const webSocketOptions = {
    noServer: true,
    path: '/v1/peer',
    maxPayload: limits.signalingMessageBytes,
    maxFragments: limits.signalingFragments,
    maxBufferedChunks: limits.signalingFragments,
    perMessageDeflate: false,
    closeTimeout: limits.stopDeadline,
  }
  const webSockets = new WebSocketServer(webSocketOptions)
  // Not a route: for as long as the peer stays it would keep all that was its request.
  app.server.on('upgrade', (request, stream, head) => {
    const { remoteAddress: host = 'unknown', remotePort: port = 0 } = request.socket
    const place = doors.placeOf(request)
    if (typeof place === 'number') {
      stream.on('error', () => stream.destroy())
      stream.once('finish', () => stream.destroy())
      stream.end(`HTTP/1.1 ${place} ${STATUS_CODES[place]}\r\nConnection: close\r\n\r\n`)
      return
    }
    const direct = formatHostPort({ host, port })
    const remote = sourceOf(host) === place.source ? direct : `${place.source} by ${direct}`
    webSockets.handleUpgrade(request, stream, head, (socket) => peers.accept(socket, remote, place))
  })
  app.addHook('preClose', async () => {
    peers.stop()
    doors.close()
    await allClosed(webSockets.clients, limits.stopDeadline)
  })
  if (options.tls !== undefined) {
    // Where a proxy ends TLS it is for the proxy to say, as it holds for all ports of the host.
    app.addHook('onRequest', async (_request, reply) => void reply.header('strict-transport-security', HSTS))
  }
  app.get('/healthz', () => ({ status: 'ok', peers: hub.peers, names: hub.names }))
  if (options.webDir !== undefined) serveWebFiles(app, await readWebFiles(options.webDir))
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'not found' }))
  return app
}

function warnIfFewer({ signalingConnections: peers, signalingPending: strangers }: Limits, wanted: Limits, log: Log) {
  if (peers === wanted.signalingConnections && strangers === wanted.signalingPending) return
  const next = 'raise the number of open files: ulimit -n, or LimitNOFILE of systemd'
  log.warn({ peers, strangers, next }, 'this process may open fewer connections than a server takes')
}

async function listen(app: FastifyInstance, { host, port }: SignalingOptions): Promise<number> {
  try {
    await app.listen({ host, port })
  } catch (error) {
    const reason = asNearportError(error).message
    throw new NearportError('listen-failed', `cannot listen at ${formatHostPort({ host, port })}: ${reason}`, {
      cause: error,
    })
  }
  const address = app.server.address()
  if (address === null || typeof address === 'string') throw new NearportError('internal', 'the server has no port')
  return address.port
}

async function openStun(options: SignalingOptions, listenPort: number): Promise<StunServer | null> {
  const port = options.stunPort === undefined ? listenPort : options.stunPort
  if (port === null) return null
  const { host, stunAlternatePort, stunAlternateAddress = null, log } = options
  // Where any port would do for the first, any does for the second.
  const next = (options.stunPort ?? options.port) === 0 ? 0 : port + 1
  const alternatePort = stunAlternatePort === undefined ? (next > 65_535 ? null : next) : stunAlternatePort
  return await startStun({ host, port, alternatePort, alternateAddress: stunAlternateAddress, log })
}

/** Resolves when all sockets are closed; those still open after `deadline` ms are destroyed. */
async function allClosed(sockets: ReadonlySet<WebSocket>, deadline: number): Promise<void> {
  const open = [...sockets]
  const closed = open.map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())))
  const timer = setTimeout(() => {
    for (const socket of open) socket.terminate()
  }, deadline)
  await Promise.all(closed)
  clearTimeout(timer)
}
