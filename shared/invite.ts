/** The link `nearport signal` prints: the address of the server, and after # the network key, which is never sent. */
import { fromBase64Url, toBase64Url } from './bytes.ts'
import { type Bytes, NETWORK_KEY_BYTES } from './crypto.ts'
import { NearportError } from './errors.ts'

export interface Invite {
  /** http: or https:, ending with "/". */
  readonly url: string
  readonly networkKey: Bytes
}

/** The key as text, 43 characters of base64url; throws `link-invalid` for anything else. */
export function parseNetworkKey(text: string): Bytes {
  const key = fromBase64Url(text)
  if (key?.length !== NETWORK_KEY_BYTES) {
    throw new NearportError('link-invalid', `the network key must be ${NETWORK_KEY_BYTES} bytes in base64url`)
  }
  return key
}

/** Throws `link-invalid`; its message never repeats the text, which may hold a key. */
export function parseInvite(text: string): Invite {
  let url: URL
  try {
    url = new URL(text.trim())
  } catch (error) {
    throw new NearportError('link-invalid', 'the link is not a URL', { cause: error })
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new NearportError('link-invalid', 'the link must begin with http:// or https://')
  }
  if (url.username !== '' || url.password !== '' || url.search !== '') {
    throw new NearportError('link-invalid', 'the link must have no user, password or query')
  }
  if (url.hash === '') throw new NearportError('link-invalid', 'the link lacks the key after #')
  const networkKey = parseNetworkKey(url.hash.slice(1))
  url.hash = ''
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return { url: url.href, networkKey }
}

export const formatInvite = (invite: Invite): string => `${invite.url}#${toBase64Url(invite.networkKey)}`

/** Where the WebSocket of a server is. */
export function socketUrl(serverUrl: string): string {
  const url = new URL('v1/peer', serverUrl)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  return url.href
}
