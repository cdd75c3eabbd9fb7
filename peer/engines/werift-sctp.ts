/** Repairs of werift's SCTP: without them a connection that lost or reordered a packet may stand still for good. */
import type { RTCSctpTransport } from 'werift'
import { requireMembers } from './werift-members.ts'

/** What of werift's association its types keep private. */
interface Association {
  handleData: (packet: Buffer) => Promise<void>
  onSackReceived: () => Promise<void>
  /** bytes sent and not acknowledged */
  flightSize: number
  readonly sentQueue: readonly { readonly acked: boolean; readonly retransmit: boolean; readonly bookSize: number }[]
  getInboundStream: (id: number) => InboundStream
}

interface InboundStream {
  readonly reassembly: readonly unknown[]
  popMessages: () => Generator<[streamId: number, protocol: number, data: Buffer]>
}

/** To be called on an association once, before it starts. `onfault`: what the other side sent cannot be handled. */
export function repairSctp(sctp: RTCSctpTransport['sctp'], onfault: (error: unknown) => void): void {
  const association = sctp as unknown as Association
  requireMembers('an SCTP association', association, ['handleData', 'onSackReceived', 'flightSize', 'getInboundStream'])
  surviveMalformed(association, onfault)
  deliverAllMessages(association)
  countFlightAnew(association)
}

/** werift throws for a malformed packet where nobody catches it, so that any member could end the process of another. */
function surviveMalformed(association: Association, onfault: (error: unknown) => void): void {
  const { handleData } = association
  association.handleData = (packet) => handleData.call(association, packet).catch(onfault)
}

/**
 * When a late packet makes several messages of a stream complete, werift delivers the first, and the others only if
 * no packet of another stream was sent between them; they wait for the stream's next packet, which may never come
 * (shinyoshiaki/werift-webrtc issue 706).
 */
function deliverAllMessages(association: Association): void {
  const repaired = new WeakSet<InboundStream>()
  const inboundStream = association.getInboundStream
  association.getInboundStream = (id) => {
    const stream = inboundStream.call(association, id)
    if (repaired.has(stream)) return stream
    repaired.add(stream)
    const popMessages = stream.popMessages
    stream.popMessages = function* () {
      let delivered = true
      while (delivered && stream.reassembly.length > 0) {
        delivered = false
        for (const message of popMessages.call(stream)) {
          delivered = true
          yield message
        }
      }
    }
    return stream
  }
}

/**
 * After a timeout werift sends again what the other side has received out of order, and never takes that off the
 * bytes in flight: with nothing on its way in truth, and so no timer, it may wait for room in its window for good.
 */
function countFlightAnew(association: Association): void {
  const flush = association.onSackReceived
  association.onSackReceived = () => {
    let inFlight = 0
    // RFC 9260 section 6.1, B: what was sent, and neither acknowledged nor marked to be sent again.
    for (const { acked, retransmit, bookSize } of association.sentQueue) if (!acked && !retransmit) inFlight += bookSize
    association.flightSize = inFlight
    return flush()
  }
}
