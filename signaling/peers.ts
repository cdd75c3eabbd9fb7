import type { WebSocket } from 'ws'
import { NearportError } from '../shared/errors.ts'
import type { Limits } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import type { Admission } from './admission.ts'
import { Backlogs } from './backlogs.ts'
import { Connection } from './connection.ts'
import type { Hub } from './hub.ts'
import type { Place } from './places.ts'

/** The connections of a server, before and after admission. */
export class Peers {
  stunPort: number | null = null
  readonly #hub: Hub
  readonly #admission: Admission
  readonly #limits: Limits
  readonly #log: Log
  readonly #connections = new Set<Connection>()
  readonly #backlogs: Backlogs
  #stopping = false

  constructor(hub: Hub, admission: Admission, limits: Limits, log: Log) {
    this.#hub = hub
    this.#admission = admission
    this.#limits = limits
    this.#backlogs = new Backlogs(limits)
    this.#log = log
  }

  /** `place` is held until the peer is admitted, or gone. */
  accept(socket: WebSocket, remote: string, place: Place): void {
    const connection: Connection = new Connection({
      socket,
      remote,
      source: place.source,
      hub: this.#hub,
      admission: this.#admission,
      backlogs: this.#backlogs,
      stunPort: this.stunPort,
      limits: this.#limits,
      log: this.#log,
      onadmitted: () => place.leave(),
      onclosed: () => this.#connections.delete(connection),
    })
    this.#connections.add(connection)
    socket.on('message', (data, isBinary) => connection.receive(isBinary ? null : data.toString()))
    socket.on('ping', () => connection.countFrame())
    socket.on('pong', () => connection.countFrame())
    socket.on('close', () => connection.closed())
    // ws closes the socket itself, with the status that says why.
    socket.on('error', (error) => connection.closed(new NearportError('message-malformed', error.message)))
    place.onevicted = () => {
      connection.cutOff(new NearportError('server-busy', 'too many peers are being admitted'))
      // Its place is taken: it must not stay for a closing handshake.
      socket.terminate()
    }
    if (this.#stopping) connection.cutOff(stopping())
  }

  stop(): void {
    this.#stopping = true
    for (const connection of [...this.#connections]) connection.cutOff(stopping())
  }
}

const stopping = () => new NearportError('server-stopping', 'the server is stopping')
