/** What a share peer has said of itself on one link, put together. */
import { NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'
import type { StatusNews } from './link-status.ts'
import { peerKey } from './peer-key.ts'
import type { LinkView, PeerStatus, ShareStatus } from './status.ts'

export class FarStatus implements PeerStatus {
  readonly names = new Map<string, ShareStatus>()
  readonly links = new Map<string, LinkView>()

  /** Throws `message-malformed` when there is more of it than a share process can have. */
  receive(news: StatusNews): void {
    if (news.type === 'status') {
      put(this.names, news.name, news.status, LIMITS.namesPerConnection)
    } else {
      const { peer, identity, link } = news
      put(this.links, peerKey(news), link && { peer, identity, ...link }, LIMITS.linksPerProcess)
    }
  }
}

function put<T>(map: Map<string, T>, key: string, value: T | null, most: number): void {
  if (value === null) {
    map.delete(key)
    return
  }
  map.set(key, value)
  if (map.size > most) throw new NearportError('message-malformed', `the other side told of more than ${most} things`)
}
