/** What a page is shown of a network. */
import type { Following } from '../../shared/following.ts'
import type { PeerStatus } from '../../shared/status.ts'
import type { PeerView, ShareView } from './api.ts'

type Known = ReadonlyMap<string, PeerStatus>

/** All shares, by name. */
export function shareViews({ shares }: Following, known: Known): ShareView[] {
  const views = [...shares.values()].map(({ name, owner, reserved, peer }): ShareView => {
    const status = (peer === null ? undefined : known.get(peer)?.names.get(name)) ?? null
    return { name, owner, reserved, peer, state: peer === null ? 'offline' : 'online', status }
  })
  return views.sort((one, other) => order(one.name, other.name))
}

/** All connected peers, by id. */
export function peerViews({ peers, shares }: Following, known: Known): PeerView[] {
  const serves = new Map<string, string[]>()
  for (const { name, peer } of shares.values()) {
    if (peer !== null) serves.set(peer, [...(serves.get(peer) ?? []), name])
  }
  const views = [...peers.values()].map(({ peer, identity }): PeerView => {
    return {
      peer,
      identity,
      serves: serves.get(peer)?.sort(order) ?? [],
      links: [...(known.get(peer)?.links.values() ?? [])],
    }
  })
  return views.sort((one, other) => order(one.peer, other.peer))
}

const order = (one: string, other: string): number => (one < other ? -1 : Number(one > other))
