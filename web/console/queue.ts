/** The jobs of one tile, one after the other: most printers take one connection. Each tile has its own. */
import { Job, type Open, type Source } from './jobs.ts'
import { CONSOLE } from './limits.ts'

export class JobQueue {
  /** The oldest first. Those that are over stay for a while. */
  readonly jobs: Job[] = []
  readonly #open: Open
  readonly #changed: (job: Job) => void
  #isRunning = false
  #nextId = 1

  constructor(open: Open, changed: (job: Job) => void) {
    this.#open = open
    this.#changed = changed
  }

  /** Jobs that are not over. */
  get pending(): number {
    return this.jobs.filter((job) => !job.isOver).length
  }

  add(source: Source): Job {
    const job: Job = new Job(this.#nextId++, source, () => this.#changed(job))
    this.jobs.push(job)
    this.#changed(job)
    void this.#run()
    return job
  }

  /** Takes a job that is over off the list. */
  remove(job: Job): void {
    const at = this.jobs.indexOf(job)
    if (at < 0 || !job.isOver) return
    this.jobs.splice(at, 1)
    this.#changed(job)
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    for (let job = this.#next(); job !== undefined; job = this.#next()) {
      await job.run(this.#open)
      this.#forget()
    }
    this.#isRunning = false
  }

  #next(): Job | undefined {
    return this.jobs.find(({ state }) => state === 'waiting')
  }

  #forget(): void {
    const over = this.jobs.filter((job) => job.isOver)
    for (const job of over.slice(0, Math.max(0, over.length - CONSOLE.jobsKept))) this.remove(job)
  }
}
