/** Repairs of werift's DTLS: without them a handshake may fail, and a nonce is used twice. */
import type { RTCDtlsTransport } from 'werift'

type Socket = NonNullable<RTCDtlsTransport['dtls']>

const HELLO_VERIFY_REQUEST = 3
const FLIGHT_AFTER_IT = 3

/** The number of a handshake's last message, whatever werift takes it for. */
const FINISHED: PropertyDescriptor = { get: () => Number.POSITIVE_INFINITY, set: () => undefined }

/** To be called on a transport once, before it starts. */
export function repairDtls(transport: RTCDtlsTransport): void {
  transport.onStateChange.subscribe((state) => {
    // The socket is made in this turn.
    if (state === 'connecting') queueMicrotask(() => begin(transport.dtls))
  })
}

function begin(socket: RTCDtlsTransport['dtls']): void {
  if (socket === undefined) return
  countOn(socket.dtls)
  ignoreRepeats(socket)
}

/** Else a handshake that is unfinished, or begins in 100 ms, is repeated for 33 s and keeps the process up. */
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
