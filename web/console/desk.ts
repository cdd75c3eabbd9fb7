/** What the page knows and can do. The views show it, and are drawn again whenever it says `changed`. */

import { NearportError } from '../../shared/errors.ts'
import type { Network, PathView, PeerView, ShareStatus, ShareView } from '../browser/index.ts'
import { type Format, formatFor } from './format.ts'
import type { Job } from './jobs.ts'
import { CONSOLE } from './limits.ts'
import { readPasted } from './link.ts'
import { inWords, type Problem, problem, problemOf } from './problem.ts'
import { JobQueue } from './queue.ts'
import { type TextKind, textJob } from './receipt.ts'
import { type Language, otherLanguage, WORDS, type Words } from './words.ts'

export type Stage =
  /** asks for the key; `elsewhere`: a link of another server was pasted */
  | { readonly kind: 'key'; readonly problem: Problem | null; readonly elsewhere: string | null }
  | { readonly kind: 'connecting' }
  /** `canRetry`: not if the browser itself is what is wrong */
  | { readonly kind: 'stuck'; readonly problem: Problem; readonly canRetry: boolean }
  | { readonly kind: 'open'; readonly network: Network }

/** What the page needs of the browser and of the library. */
export interface World {
  /** http: or https:, ending with "/" */
  readonly server: string
  readonly connect: (options: { readonly invite: string }) => Promise<Network>
  readonly rememberKey: (key: string) => void
  readonly rememberLanguage: (language: Language) => void
  readonly changed: () => void
}

export class Desk {
  language: Language
  words: Words
  format: Format
  stage: Stage = { kind: 'connecting' }
  shares: readonly ShareView[] = []
  peers: readonly PeerView[] = []
  isSignalingHere = true
  /** The share that a file is held over. */
  droppingOn: string | null = null
  /** For those who hear the page: the last thing that happened. */
  announcement = ''
  /** Owners of names that the user has been asked about, as they were when he was. */
  readonly considered = new Map<string, string>()
  readonly paths = new Map<string, PathView>()
  readonly #world: World
  readonly #queues = new Map<string, JobQueue>()
  readonly #told = new WeakMap<ShareStatus, number>()
  /** The state of each job that was announced last. */
  readonly #announced = new WeakMap<Job, string>()

  constructor(world: World, language: Language) {
    this.#world = world
    this.language = language
    this.words = WORDS[language]
    this.format = formatFor(language)
  }

  /** Begins with the key in the address of the page; empty when there is none. */
  async start(key: string): Promise<void> {
    if (key === '') this.askForKey()
    else await this.#enter(key)
  }

  askForKey(): void {
    this.#show({ kind: 'key', problem: null, elsewhere: null })
  }

  async paste(text: string): Promise<void> {
    const pasted = readPasted(text, this.#world.server)
    if (pasted.kind === 'invalid') this.#show({ kind: 'key', problem: problem('link-invalid'), elsewhere: null })
    else if (pasted.kind === 'elsewhere') this.#show({ kind: 'key', problem: null, elsewhere: pasted.link })
    else {
      this.#world.rememberKey(pasted.key)
      await this.#enter(pasted.key)
    }
  }

  switchLanguage(): void {
    this.language = otherLanguage(this.language)
    this.words = WORDS[this.language]
    this.format = formatFor(this.language)
    this.announcement = ''
    this.#world.rememberLanguage(this.language)
    this.#world.changed()
  }

  queue(name: string): JobQueue {
    const known = this.#queues.get(name)
    if (known !== undefined) return known
    const open = (options: { readonly signal: AbortSignal }) => this.#network().open(name, options)
    const queue = new JobQueue(open, (job) => this.#jobChanged(name, job))
    this.#queues.set(name, queue)
    return queue
  }

  /** Jobs of all tiles that are not over. */
  get pending(): number {
    return [...this.#queues.values()].reduce((sum, queue) => sum + queue.pending, 0)
  }

  printFiles(name: string, files: Iterable<File>): void {
    for (const file of files) this.queue(name).add({ name: file.name, content: file, replaced: 0 })
  }

  printText(name: string, text: string, kind: TextKind): void {
    const { bytes, replaced } = textJob(text, kind)
    this.queue(name).add({ name: null, content: new Blob([bytes]), replaced })
  }

  /** Asks the user about an owner, whoever the server names from then on; null: no longer. */
  consider(name: string, owner: string | null): void {
    if (owner === null) this.considered.delete(name)
    else this.considered.set(name, owner)
    this.#world.changed()
  }

  /** The user agrees to the owner that he was asked about. */
  async trust(name: string, owner: string): Promise<void> {
    this.considered.delete(name)
    try {
      await this.#network().trust(name, owner)
      this.announcement = this.words.ownerAccepted(name)
    } catch (error) {
      this.announcement = inWords(problemOf(error), this.words).what
    }
    this.#world.changed()
  }

  dropOn(name: string | null): void {
    if (this.droppingOn === name) return
    this.droppingOn = name
    this.#world.changed()
  }

  titleOf(job: Job): string {
    return job.source.name ?? this.words.typedName
  }

  isStalled(job: Job): boolean {
    return job.state === 'sending' && job.sent > job.acknowledged && Date.now() - job.movedAt >= CONSOLE.stalledAfter
  }

  /** Says which jobs stand still; to be called now and then, as nothing else happens then. */
  noticeStalls(): void {
    for (const [name, { jobs }] of this.#queues) {
      for (const job of jobs) {
        if (!this.isStalled(job) || this.#announced.get(job) === 'stalled') continue
        this.#announced.set(job, 'stalled')
        this.announcement = this.words.announced(this.titleOf(job), name, this.words.stalled)
        this.#world.changed()
      }
    }
  }

  /** When a duration that a share peer told had begun; ms since 1970. */
  beganAt(status: ShareStatus, durationMs: number): number {
    return (this.#told.get(status) ?? Date.now()) - durationMs
  }

  /** Looks at the paths of this page; they change with no word of it. */
  async lookAtPaths(): Promise<void> {
    if (this.stage.kind !== 'open') return
    const { network } = this.stage
    for (const { name } of this.shares) {
      const path = await network.path(name)
      if (path === null) this.paths.delete(name)
      else this.paths.set(name, path)
    }
    this.#world.changed()
  }

  async #enter(key: string): Promise<void> {
    this.#show({ kind: 'connecting' })
    try {
      const network = await this.#world.connect({ invite: `${this.#world.server}#${key}` })
      this.stage = { kind: 'open', network }
      this.#watch(network)
    } catch (error) {
      const problem = problemOf(error)
      const isKeyWrong = ['link-invalid', 'admission-refused'].includes(problem.code)
      const canRetry = !['insecure-context', 'browser-unsupported'].includes(problem.code)
      this.#show(isKeyWrong ? { kind: 'key', problem, elsewhere: null } : { kind: 'stuck', problem, canRetry })
    }
  }

  #watch(network: Network): void {
    network.shares().subscribe((shares) => {
      for (const { status } of shares)
        if (status !== null && !this.#told.has(status)) this.#told.set(status, Date.now())
      this.shares = shares.toSorted(byName)
      this.#world.changed()
    })
    network.peers().subscribe((peers) => {
      this.peers = peers
      this.#world.changed()
    })
    network.state().subscribe((isHere) => {
      if (isHere !== this.isSignalingHere) {
        this.announcement = isHere ? this.words.backAnnounced : this.words.awayTitle
      }
      this.isSignalingHere = isHere
      this.#world.changed()
    })
  }

  #network(): Network {
    if (this.stage.kind !== 'open') throw new NearportError('internal', 'a job before the network was open')
    return this.stage.network
  }

  #jobChanged(name: string, job: Job): void {
    if (this.#announced.get(job) !== job.state && ['sending', 'done', 'cancelled', 'failed'].includes(job.state)) {
      this.#announced.set(job, job.state)
      this.announcement = this.words.announced(this.titleOf(job), name, this.words.jobStates[job.state])
    }
    this.#world.changed()
  }

  #show(stage: Stage): void {
    this.stage = stage
    this.#world.changed()
  }
}

const byName = (one: ShareView, other: ShareView): number => one.name.localeCompare(other.name, 'en', { numeric: true })
