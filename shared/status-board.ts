/** What a share process tells those who follow its status. While nobody does, it does nothing. */
import { LIMITS } from './limits.ts'
import type { Follower, StatusNews } from './link-status.ts'
import { peerKey } from './peer-key.ts'
import type { LinkView, ShareStatus } from './status.ts'

export interface StatusSource {
  /** Of all names that are served. */
  names(): Iterable<readonly [string, ShareStatus]>
  /** All that are ready, at most one for each peer. */
  links(): Iterable<LinkView>
}

interface Entry {
  news: StatusNews
  /** What of it is worth telling again when it is another. */
  readonly mark: string
  readonly revision: number
}

export class StatusBoard {
  readonly #source: StatusSource
  /** By name and by link, in the order of their last changes, which is that of their revisions. */
  readonly #entries = new Map<string, Entry>()
  /** Each has been told all changes up to a revision. */
  readonly #followers = new Map<Follower, number>()
  #revision = 0
  #timer: ReturnType<typeof setInterval> | undefined

  constructor(source: StatusSource) {
    this.#source = source
  }

  /** Tells it all now, and from now on what changes, each second. */
  add(follower: Follower): void {
    this.#followers.set(follower, 0)
    this.#timer ??= setInterval(() => this.#tick(), LIMITS.statusInterval)
    this.#look()
    this.#tell(follower)
  }

  remove(follower: Follower): void {
    this.#followers.delete(follower)
    if (this.#followers.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#entries.clear()
  }

  #tick(): void {
    this.#look()
    for (const follower of this.#followers.keys()) this.#tell(follower)
    const told = Math.min(...this.#followers.values())
    for (const [key, { news, revision }] of this.#entries) {
      if (isGone(news) && revision <= told) this.#entries.delete(key)
    }
  }

  #look(): void {
    const found = new Map<string, StatusNews>()
    for (const [name, status] of this.#source.names()) found.set(`name ${name}`, { type: 'status', name, status })
    for (const { peer, identity, ...link } of this.#source.links()) {
      found.set(`link ${peerKey({ peer, identity })}`, { type: 'link', peer, identity, link })
    }
    // What is gone is told first, so that nobody hears of more than there is.
    for (const [key, { news }] of [...this.#entries]) if (!found.has(key)) this.#put(key, gone(news))
    for (const [key, news] of found) this.#put(key, news)
  }

  #put(key: string, news: StatusNews): void {
    const mark = markOf(news)
    const known = this.#entries.get(key)
    if (known?.mark === mark) {
      // Its times go on.
      known.news = news
      return
    }
    this.#entries.delete(key)
    this.#entries.set(key, { news, mark, revision: ++this.#revision })
  }

  /** Who does not read is told later, when it may have changed again. */
  #tell(follower: Follower): void {
    const told = this.#followers.get(follower) ?? 0
    for (const { news, revision } of this.#entries.values()) {
      if (revision <= told) continue
      if (follower.buffered() > LIMITS.statusBacklogBytes) return
      follower.send(news)
      this.#followers.set(follower, revision)
    }
  }
}

const isGone = (news: StatusNews): boolean => (news.type === 'status' ? news.status : news.link) === null

const gone = (news: StatusNews): StatusNews =>
  news.type === 'status' ? { ...news, status: null } : { ...news, link: null }

/** The times go on by themselves, and are no change. */
function markOf(news: StatusNews): string {
  if (news.type === 'link' || news.status === null) return JSON.stringify(news)
  return JSON.stringify({ ...news.status, servedMs: 0, health: { ...news.status.health, sinceMs: 0 } })
}
