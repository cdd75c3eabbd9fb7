import os from 'node:os'
import type { LocalReach } from '../../shared/candidates.ts'

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

/**
 * The addresses another host may reach us at. werift leaves out tunnels by the name of their interface, and both
 * engines leave out loopback, so that two peers on a host without a network would never meet: hence 127.0.0.1 then.
 */
export function hostAddresses(): readonly string[] {
  const addresses = externalAddresses().filter((address) => !LINK_LOCAL.test(address))
  return addresses.length === 0 ? [LOOPBACK] : addresses
}

/**
 * Loopback leads to other peers where we offer it ourselves. Where this host has a network it never does: two peers on
 * one host meet at an address of that, and what the other side says of itself would be no proof that it is here.
 */
export function localReach(): LocalReach {
  return {
    loopback: hostAddresses().includes(LOOPBACK),
    linkLocal: externalAddresses().some((address) => address.startsWith('169.254.')),
  }
}

const LINK_LOCAL = /^(?:169\.254\.|fe[89ab])/i

const externalAddresses = (): string[] =>
  Object.values(os.networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal }) => !internal)
    .map(({ address }) => address)

export const LOOPBACK = '127.0.0.1'
