/**
 * Which Ed25519 public keys (RFC 8032 section 5.1.5) are refused as identities. A key of small order is nobody's: a
 * signature under it can be made without any private key, and one signature may fit every message. A second encoding
 * of a point would give one key two names.
 */
import { toBase64Url } from './bytes.ts'

/** y of the points whose order divides 8, little endian, without the bit for the sign of x. */
const SMALL_ORDER_Y = new Set(
  [
    // order 1: y = 1
    '0100000000000000000000000000000000000000000000000000000000000000',
    // order 2: y = -1
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    // order 4: y = 0
    '0000000000000000000000000000000000000000000000000000000000000000',
    // order 8
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  ].map((hex) => toBase64Url(Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16)))),
)

/** Whether 32 bytes may be an identity: the one encoding of a y below p = 2^255 - 19, of a point of large order. */
export function isSoundPublicKey(key: Uint8Array): boolean {
  const y = key.slice()
  y[31] = (y[31] ?? 0) & 0x7f
  const isCanonical = y[31] !== 0x7f || (y[0] ?? 0) < 0xed || y.subarray(1, 31).some((byte) => byte !== 0xff)
  return key.length === 32 && isCanonical && !SMALL_ORDER_Y.has(toBase64Url(y))
}
