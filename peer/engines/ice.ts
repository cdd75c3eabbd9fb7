import os from 'node:os'

/** A STUN server, as engines take it: the host without the brackets of an IPv6 URL. */
export interface StunServer {
  readonly host: string
  readonly port: number
}

const STUN_URL = /^stun:(?:\[([\da-f:.]+)\]|([^:/?#[\]]+))(?::(\d{1,5}))?$/i
const STUN_PORT = 3478

/** The STUN servers of a configuration. Whatever else it names, TURN first of all, is left out: no relay, ever. */
export function stunServers(config: RTCConfiguration): StunServer[] {
  const urls = (config.iceServers ?? []).flatMap((server) => server.urls)
  return urls.flatMap((url) => {
    const match = STUN_URL.exec(url)
    const host = match?.[1] ?? match?.[2]
    const port = Number(match?.[3] ?? STUN_PORT)
    return host === undefined || port < 1 || port > 65535 ? [] : [{ host, port }]
  })
}

const CANDIDATE = /^(?:a=)?candidate:\S+ \d+ (\S+) \d+ (\S+) \d+ typ (\S+)/i
const DIRECT = new Set(['host', 'srflx', 'prflx'])

/**
 * Whether a candidate of the other side may be tried: over UDP, and no relay. A `.local` name is left out too: to
 * resolve it an engine would multicast, and the browser that hides behind it finds us by itself.
 */
export function isUsable(candidate: string): boolean {
  const [, transport, address, type] = CANDIDATE.exec(candidate) ?? []
  if (transport === undefined || address === undefined || type === undefined) return false
  return (
    transport.toLowerCase() === 'udp' && DIRECT.has(type.toLowerCase()) && !address.toLowerCase().endsWith('.local')
  )
}

/**
 * A description without the candidates that are not {@link isUsable}, and without its word that there are no more:
 * werift gives up at once if it has no pair yet when it reads that.
 */
export function withUsableCandidates(sdp: string): string {
  const lines = sdp.split('\r\n').filter((line) => !/^a=end-of-candidates/i.test(line))
  return lines.filter((line) => !isCandidate(line) || isUsable(line)).join('\r\n')
}

/** A description, and the candidates that were in it. */
export function splitCandidates(sdp: string): { description: string; candidates: string[] } {
  const lines = sdp.split('\r\n')
  return {
    description: lines.filter((line) => !isCandidate(line)).join('\r\n'),
    candidates: lines.filter(isCandidate).map((line) => line.slice('a='.length)),
  }
}

function isCandidate(line: string): boolean {
  return /^a=candidate:/i.test(line)
}

/**
 * The addresses another host may reach us at. werift leaves out tunnels by the name of their interface, and both
 * engines leave out loopback, so that two peers on a host without a network would never meet: hence 127.0.0.1 then.
 */
export function hostAddresses(): readonly string[] {
  const addresses = Object.values(os.networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, address }) => !internal && !/^(?:169\.254\.|fe[89ab])/i.test(address))
  return addresses.length === 0 ? [LOOPBACK] : addresses.map(({ address }) => address)
}

export const LOOPBACK = '127.0.0.1'
