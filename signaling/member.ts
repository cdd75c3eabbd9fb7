import type { NearportError } from '../shared/errors.ts'
import type { ServerMessage } from '../shared/messages.ts'

/** A peer past admission, as the hub sees it. After it left, everything sent to it is dropped. */
export interface Member {
  readonly peer: string
  /** Its Ed25519 public key, base64url; admission has proved that it holds the private one. */
  readonly identity: string
  send(message: ServerMessage): void
  /** Sends, and resolves when the network has taken the message: for answers of many messages. */
  deliver(message: ServerMessage): Promise<void>
  /** Tells the peer why, and closes its connection. */
  cutOff(error: NearportError): void
}
