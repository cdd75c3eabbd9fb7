/** What somebody pasted into the field of the key: the link, the command with the link, or the key alone. */
import { toBase64Url } from '../../shared/bytes.ts'
import { NearportError } from '../../shared/errors.ts'
import { parseInvite, parseNetworkKey } from '../../shared/invite.ts'

export type Pasted =
  | { readonly kind: 'key'; readonly key: string }
  /** a link, but of another server than `server` */
  | { readonly kind: 'elsewhere'; readonly link: string }
  | { readonly kind: 'invalid' }

/** `server`: http: or https:, ending with "/". */
export function readPasted(text: string, server: string): Pasted {
  const words = text.trim().split(/\s+/).at(-1) ?? ''
  try {
    if (!words.includes('/')) return { kind: 'key', key: toBase64Url(parseNetworkKey(words.replace(/^#/, ''))) }
    const { url, networkKey } = parseInvite(words)
    const key = toBase64Url(networkKey)
    return url === server ? { kind: 'key', key } : { kind: 'elsewhere', link: `${url}#${key}` }
  } catch (error) {
    if (error instanceof NearportError && error.code === 'link-invalid') return { kind: 'invalid' }
    throw error
  }
}

/** The server behind a page at `href`; `meta`: what the page says itself, when another host serves it. */
export const serverOf = (href: string, meta: string | null): string =>
  new URL(meta || '.', href.replace(/#.*$/s, '')).href
