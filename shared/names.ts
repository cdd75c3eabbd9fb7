import { NearportError } from './errors.ts'

/** 3 to 63 characters, the shape of a DNS label (RFC 1123 section 2.1) in lower case. */
export const NAME_PATTERN = /^[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])$/

/** A nanoid: a peer process, a session (one negotiation between two of them), or a tunnel. */
export const ID_PATTERN = /^[A-Za-z0-9_-]{21}$/

/** Returns the name, or throws `name-malformed`. */
export function parseName(text: string): string {
  if (!NAME_PATTERN.test(text)) throw new NearportError('name-malformed', `"${text}" is not a share name`)
  return text
}
