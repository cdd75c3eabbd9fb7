import type { NearportError } from '../shared/errors.ts'
import type { ServerMessage } from '../shared/messages.ts'
import type { PeerRef } from '../shared/peer-key.ts'

/** A peer past admission, which has proved its identity, as the hub sees it. After it left, everything sent to it is dropped. */
export interface Member extends PeerRef {
  /** Where it connects from: see sourceOf. */
  readonly source: string
  send(message: ServerMessage): void
  /** Sends, and resolves when the network has taken the message: for answers of many messages. */
  deliver(message: ServerMessage): Promise<void>
  /** Tells the peer why, and closes its connection. */
  cutOff(error: NearportError): void
}
