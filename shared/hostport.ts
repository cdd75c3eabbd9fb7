/** HOST:PORT as text and back, strictly: what is not plainly an address is refused, not guessed at. */
import { type ErrorCode, NearportError } from './errors.ts'

export interface HostPort {
  /** An IPv4 address, an IPv6 address without brackets, or a host name in ASCII. */
  readonly host: string
  readonly port: number
}

/** RFC 1123 section 2.1, and the underscore that real networks use. */
const LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/
const HOST_NAME_CHARS = 253
const OCTET = /^(?:0|[1-9]\d{0,2})$/

function isIPv4(host: string): boolean {
  const octets = host.split('.')
  return octets.length === 4 && octets.every((octet) => OCTET.test(octet) && Number(octet) <= 255)
}

/** With an optional zone ("%eth0", RFC 4007), which a link-local printer needs. */
function isIPv6(host: string): boolean {
  const [address = ''] = host.split('%', 1)
  const zone = host.slice(address.length)
  if (zone !== '' && !/^%[A-Za-z0-9_.-]+$/.test(zone)) return false
  return /^[0-9A-Fa-f:.]+$/.test(address) && URL.canParse(`http://[${address}]`)
}

function isHostName(host: string): boolean {
  const labels = host.split('.')
  // A last label of digits only would be a mistyped IPv4 address.
  return (
    host.length <= HOST_NAME_CHARS && labels.every((label) => LABEL.test(label)) && !/^\d+$/.test(labels.at(-1) ?? '')
  )
}

function parsePortOf(text: string, port: string, code: ErrorCode, lowest: 0 | 1): number {
  const number = Number(port)
  if (!/^(?:0|[1-9]\d{0,4})$/.test(port) || number > 65_535 || number < lowest) {
    throw new NearportError(code, `"${text}" needs a port from ${lowest} to 65535 after the last ":"`)
  }
  return number
}

/**
 * Reads `192.168.1.185:9100`, `printer.local:9100` or `[::1]:9901`. Port 0 ("any free one") only passes with `port0`.
 * Throws a NearportError with `code`.
 */
export function parseHostPort(text: string, code: ErrorCode, options: { readonly port0?: boolean } = {}): HostPort {
  const colon = text.lastIndexOf(':')
  if (colon < 0) throw new NearportError(code, `"${text}" is not HOST:PORT`)
  const port = parsePortOf(text, text.slice(colon + 1), code, options.port0 === true ? 0 : 1)
  const host = text.slice(0, colon)
  const bracketed = /^\[(.*)\]$/.exec(host)?.[1]
  if (bracketed !== undefined) {
    if (isIPv6(bracketed)) return { host: bracketed, port }
    throw new NearportError(code, `"${text}" has no IPv6 address between the brackets`)
  }
  if (host.includes(':')) throw new NearportError(code, `"${text}" needs brackets around its IPv6 address: [::1]:9100`)
  if (!isIPv4(host) && !isHostName(host)) throw new NearportError(code, `"${text}" has no valid host before the ":"`)
  return { host, port }
}

/** The inverse of {@link parseHostPort}. */
export const formatHostPort = ({ host, port }: HostPort): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
