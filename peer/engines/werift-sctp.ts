/**
 * Repairs of werift's SCTP: without them a connection that lost or reordered a packet may stand still for good, and one whose
 * other side breaks the rules ends the process, or fills its memory.
 */
import type { RTCSctpTransport } from 'werift'
import { NearportError } from '../../shared/errors.ts'
import { LIMITS } from '../../shared/limits.ts'
import { requireMembers } from './werift-members.ts'

/** What of werift's association its types keep private. */
interface Association {
  handleData: (packet: Buffer) => Promise<void>
  onSackReceived: () => Promise<void>
  /** bytes sent and not acknowledged */
  flightSize: number
  readonly sentQueue: readonly { readonly acked: boolean; readonly retransmit: boolean; readonly bookSize: number }[]
  getInboundStream: (id: number) => InboundStream
  /** All that came in order has come up to this one. */
  readonly lastReceivedTsn: number
  receiveDataChunk: (chunk: DataChunk) => void
  receiveSackChunk: (chunk: SackChunk) => Promise<void>
  /** A whole message came. */
  receive: (streamId: number, protocol: number, data: Buffer) => void
}

interface DataChunk {
  readonly tsn: number
  readonly streamId: number
  readonly userData: Buffer
}

interface SackChunk {
  /** What came out of order: the first and the last of each run, counted from what came in order. */
  readonly gaps: readonly (readonly [first: number, last: number])[]
}

interface InboundStream {
  readonly reassembly: readonly unknown[]
  popMessages: () => Generator<[streamId: number, protocol: number, data: Buffer]>
}

/** Payload protocol identifiers of messages (RFC 8831 section 8): text and bytes, each also for none at all. */
const MESSAGES: ReadonlySet<number> = new Set([51, 53, 56, 57])

const REPLACED = [
  'handleData',
  'onSackReceived',
  'flightSize',
  'getInboundStream',
  'receiveDataChunk',
  'receiveSackChunk',
  'sentQueue',
  'receive',
  'lastReceivedTsn',
]

/** To be called on an association once, before it starts. `onfault`: what the other side sent cannot be handled. */
export function repairSctp(sctp: RTCSctpTransport['sctp'], onfault: (error: unknown) => void): void {
  const association = sctp as unknown as Association
  requireMembers('an SCTP association', association, REPLACED)
  surviveMalformed(association, onfault)
  refuseOtherProtocols(association, onfault)
  boundReassembly(association, onfault)
  dropSenselessSacks(association)
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

/**
 * werift throws at a message of a protocol that it does not know, where nobody catches it: the process would end. By the one
 * that opens channels (RFC 8832), which nearport does not use, it makes as many as the other side likes.
 */
function refuseOtherProtocols(association: Association, onfault: (error: unknown) => void): void {
  const { receive } = association
  association.receive = (streamId, protocol, data) => {
    if (MESSAGES.has(protocol)) receive.call(association, streamId, protocol, data)
    else onfault(broken(`a message of the protocol ${protocol}`))
  }
}

/**
 * werift keeps all that it cannot deliver yet, whatever it said that it has room for. What comes out of order above the
 * bound is dropped, as RFC 9260 section 6.2 has it, and comes again; what comes in order and still has no end is no message.
 */
function boundReassembly(association: Association, onfault: (error: unknown) => void): void {
  const { receiveDataChunk } = association
  let held = 0
  association.receiveDataChunk = (chunk) => {
    const isNext = chunk.tsn === (association.lastReceivedTsn + 1) % 2 ** 32
    if (!isNext && held >= LIMITS.reassemblyChunks) return
    const { streamId, userData } = chunk
    if (
      held >= 2 * LIMITS.reassemblyChunks ||
      streamId > LIMITS.sharesPerTunnel ||
      userData.length > LIMITS.sctpChunkBytes
    ) {
      onfault(broken('parts of messages without an end, too large, or on streams that there are not'))
      return
    }
    const { reassembly } = association.getInboundStream(chunk.streamId)
    const before = reassembly.length
    receiveDataChunk.call(association, chunk)
    held += association.getInboundStream(chunk.streamId).reassembly.length - before
  }
}

/**
 * werift walks through every number of every gap, so that one SACK can name a billion. What is in flight bounds those of an
 * honest one, which are in order; one that is not, or that was overtaken by a newer one, says nothing.
 */
function dropSenselessSacks(association: Association): void {
  const { receiveSackChunk } = association
  association.receiveSackChunk = async (chunk) => {
    let end = 0
    for (const [first, last] of chunk.gaps) {
      if (first <= end || last < first) return
      end = last
    }
    if (end <= association.sentQueue.length) await receiveSackChunk.call(association, chunk)
  }
}

const broken = (what: string) => new NearportError('frame-malformed', `the other side sent ${what}`)
