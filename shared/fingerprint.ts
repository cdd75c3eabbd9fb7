/**
 * An identity in the form that people compare and type: 16 characters in four groups, `4f9k-0x7q-hm2d-w8tc`. They are
 * the first 80 bits of the public key. To make a key that shares them with one that exists takes 2^80 tries; the first
 * 8 characters of base64url, 48 bits, are found in days.
 */
import { fromBase64Url } from './bytes.ts'
import { NearportError } from './errors.ts'

/** Base 32 of Crockford: no two of its characters look alike, and it knows no upper case. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const CHARS = 16
const GROUP = 4

/** Lower case, so that it also is the name of a file wherever case does not count. */
export function toBase32(bytes: Uint8Array): string {
  let text = ''
  let [held, bits] = [0, 0]
  for (const byte of bytes) {
    held = (held << 8) | byte
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET.charAt((held >> (bits - 5)) & 31)
    held &= 31
  }
  return bits === 0 ? text : text + ALPHABET.charAt((held << (5 - bits)) & 31)
}

/** `identity`: an Ed25519 public key, base64url or its bytes. */
export function identityFingerprint(identity: string | Uint8Array): string {
  const bytes = typeof identity === 'string' ? fromBase64Url(identity) : identity
  if (bytes === null) throw new NearportError('internal', 'an identity is not base64url')
  return grouped(toBase32(bytes.subarray(0, (CHARS * 5) / 8)))
}

/** The fingerprint as it is shown. Case, hyphens, and what looks alike (o for 0, i and l for 1) do not matter. Throws `usage`. */
export function parseFingerprint(text: string): string {
  const plain = text.toLowerCase().replaceAll('-', '').replaceAll('o', '0').replaceAll(/[il]/g, '1')
  if (plain.length === CHARS && [...plain].every((char) => ALPHABET.includes(char))) return grouped(plain)
  throw new NearportError('usage', `"${text}" is not a fingerprint: it has ${CHARS} characters, for example ${EXAMPLE}`)
}

const EXAMPLE = '4f9k-0x7q-hm2d-w8tc'

const grouped = (plain: string): string =>
  Array.from({ length: plain.length / GROUP }, (_, at) => plain.slice(at * GROUP, (at + 1) * GROUP)).join('-')
