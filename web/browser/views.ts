/** What a page is shown of a network. */
import type { Following } from '../../shared/following.ts'
import { peerKey } from '../../shared/peer-key.ts'
import type { PeerStatus } from '../../shared/status.ts'
import type { PeerView, ShareView } from './api.ts'

/** By peerKey. */
type Known = ReadonlyMap<string, PeerStatus>

/** All shares, by name. */
export function shareViews({ shares }: Following, known: Known, owners: ReadonlyMap<string, string>): ShareView[] {
  const views = [...shares.values()].map(({ name, owner, reserved, peer }): ShareView => {
    const knownOwner = owners.get(name) ?? null
    const isOwners = knownOwner === null || knownOwner === owner
    // What another says of a name that is not its own is worth nothing.
    const far = peer === null || !isOwners ? undefined : known.get(peerKey({ peer, identity: owner }))
    const status = far?.names.get(name) ?? null
    return { name, owner, knownOwner, reserved, peer, state: peer === null ? 'offline' : 'online', status }
  })
  return views.sort((one, other) => order(one.name, other.name))
}

/** All connected peers, in the order of their ids. */
export function peerViews({ peers, shares }: Following, known: Known): PeerView[] {
  const serves = new Map<string, string[]>()
  for (const { name, peer, owner: identity } of shares.values()) {
    if (peer === null) continue
    const key = peerKey({ peer, identity })
    serves.set(key, [...(serves.get(key) ?? []), name])
  }
  const views = [...peers].map(([key, { peer, identity }]): PeerView => {
    return {
      peer,
      identity,
      serves: serves.get(key)?.sort(order) ?? [],
      links: [...(known.get(key)?.links.values() ?? [])],
    }
  })
  return views.sort((one, other) => order(peerKey(one), peerKey(other)))
}

const order = (one: string, other: string): number => (one < other ? -1 : Number(one > other))
