/** Repairs of werift's DTLS: without them it begins late, loses the other side's greeting, fails, or repeats a nonce. */
import type { RTCDtlsTransport } from 'werift'
import { LIMITS } from '../../shared/limits.ts'

type Socket = NonNullable<RTCDtlsTransport['dtls']>

const HELLO_VERIFY_REQUEST = 3
const FLIGHT_AFTER_IT = 3

/** The number of a handshake's last message, whatever werift takes it for. */
const FINISHED: PropertyDescriptor = { get: () => Number.POSITIVE_INFINITY, set: () => undefined }

/** To be called on a transport once, before it starts. */
export function repairDtls(transport: RTCDtlsTransport): void {
  const { connection } = transport.iceTransport
  /** The other side may see first that there is a path, and greets; it would do so again only a second later. */
  const early: Buffer[] = []
  const { unSubscribe } = connection.onData.subscribe((datagram) => {
    if (early.length < LIMITS.earlyDatagrams) early.push(datagram)
  })
  transport.onStateChange.subscribe((state) => {
    unSubscribe()
    // The socket is made in this turn.
    if (state === 'connecting') queueMicrotask(() => begin())
  })
  const begin = () => {
    const { dtls } = transport
    if (dtls === undefined) return
    countOn(dtls.dtls)
    ignoreRepeats(dtls)
    greetAtOnce(dtls)
    // As if they came now: anybody may have sent them.
    for (const datagram of early.splice(0)) connection.nominated?.protocol.onDataReceived.execute(datagram)
  }
}

/** Else a handshake that is unfinished when its connection is closed is repeated for 33 s, and keeps the process up. */
export function endHandshake({ dtls }: RTCDtlsTransport): void {
  if (dtls !== undefined) Object.defineProperty(dtls.dtls, 'flight', FINISHED)
}

/**
 * werift numbers its records from 1 again after the one that ended its handshake, which was encrypted as they are. The
 * record that comes to the same number has the same nonce (RFC 5288 section 3 forbids it: who overhears both learns
 * what forging takes), and the other side drops it as a replay; SCTP sends it again a second later.
 */
function countOn(context: Socket['dtls']): void {
  let number = context.recordSequenceNumber
  Object.defineProperty(context, 'recordSequenceNumber', {
    get: () => number,
    set: (next: number) => {
      if (context.epoch === 0 || next > number) number = next
    },
  })
}

/**
 * werift fails a handshake for good when it hears a HelloVerifyRequest again; and it does hear it again wherever the
 * first answer took longer than the 500 ms after which it repeats its greeting.
 */
function ignoreRepeats(socket: Socket): void {
  const handle = socket.onHandleHandshakes
  const isDue = (type: number): boolean => type !== HELLO_VERIFY_REQUEST || socket.dtls.flight < FLIGHT_AFTER_IT
  socket.onHandleHandshakes = (handshakes) => handle(handshakes.filter(({ msg_type }) => isDue(msg_type)))
}

/**
 * werift waits 100 ms, for the other side to be ready. It is: this one keeps what comes early, native tells of the
 * path only when it is ready for more, and browsers keep it as well.
 */
function greetAtOnce(socket: Socket): void {
  if (!isClient(socket)) return
  const greeting = socket.connect()
  socket.connect = () => greeting
}

const isClient = (socket: Socket): socket is Socket & { connect: () => Promise<void> } => 'connect' in socket
