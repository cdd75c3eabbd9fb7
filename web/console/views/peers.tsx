/** Who is connected, and the links between them. */

import { shortIdentity } from '../../../shared/crypto.ts'
import { type PeerRef, peerKey } from '../../../shared/peer-key.ts'
import type { LinkView, Network, PeerView } from '../../browser/index.ts'
import type { Desk } from '../desk.ts'
import { pathType } from './path-type.ts'

interface PeersProps {
  readonly desk: Desk
  readonly network: Network
}

export function Peers({ desk, network }: PeersProps) {
  const { peers, words, format } = desk
  return (
    <section class="peers" aria-labelledby="peers-title">
      <h2 id="peers-title">
        {words.peersTitle} <span class="count">{format.number(peers.length)}</span>
      </h2>
      {peers.length === 0 && <p class="none">{words.peersNone}</p>}
      <ul>
        {peers.map((peer) => (
          <Peer key={peerKey(peer)} desk={desk} network={network} peer={peer} />
        ))}
      </ul>
    </section>
  )
}

/** Whether it is this page. */
const isOwn = (network: Network, { peer, identity }: PeerRef) => peer === network.peer && identity === network.identity

function Peer({ desk, network, peer }: PeersProps & { readonly peer: PeerView }) {
  const { words, language } = desk
  const { identity, serves, links } = peer
  const own = isOwn(network, peer)
  const names = new Intl.ListFormat(language, { type: 'conjunction' }).format(serves)
  return (
    <li class="peer">
      <p class="peer-head">
        <code title={words.identityHint(identity)}>{shortIdentity(identity)}</code>
        {own && <span class="tag">{words.thisPage}</span>}
        {serves.length > 0 && <span>{words.serves(names)}</span>}
        {serves.length === 0 && !own && <span class="soft">{words.servesNone}</span>}
      </p>
      {links.length > 0 && (
        <ul class="links" aria-label={words.linksOf(shortIdentity(identity))}>
          {links.map((link) => (
            <Link key={peerKey(link)} desk={desk} network={network} link={link} />
          ))}
        </ul>
      )}
    </li>
  )
}

function Link({ desk, network, link }: PeersProps & { readonly link: LinkView }) {
  const { words, format } = desk
  const from = isOwn(network, link) ? words.thisPage : shortIdentity(link.identity)
  const parts = [
    pathType(link.path, words),
    ...(link.roundTripMs === null ? [] : [words.roundTrip(format.milliseconds(link.roundTripMs))]),
    words.linkStreams(link.streams),
    format.bytes(link.bytes),
  ]
  return (
    <li>
      <span class="link-from">{words.link(from)}</span>
      <span class="fine">{parts.join(' · ')}</span>
    </li>
  )
}
