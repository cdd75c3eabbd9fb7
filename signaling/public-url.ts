/** What the invite names when the operator does not say. */
import { networkInterfaces } from 'node:os'
import { formatHostPort } from '../shared/hostport.ts'

const LOOPBACK = '127.0.0.1'

/** http(s)://HOST:PORT/, where HOST for a server on all addresses is the first one others can reach. */
export function defaultUrl(host: string, port: number, tls: boolean): string {
  const all = host === '0.0.0.0' || host === '::'
  const named = formatHostPort({ host: all ? outerAddress() : host, port })
  return new URL(`${tls ? 'https' : 'http'}://${named}/`).href
}

function outerAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((of) => of ?? [])
  return addresses.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? LOOPBACK
}
