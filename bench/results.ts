/** All that a run of the bench finds, by group, measure, contender and round. */

export interface Measure {
  /** the heading it is listed under */
  readonly group: string
  readonly name: string
  readonly unit: string
  /** A difference, which may be 0: it is not divided by that of another. */
  readonly isDifference?: true
}

export interface Figure extends Measure {
  readonly contender: string
  /** One for each round, so that contenders can be compared within a round. */
  readonly samples: readonly number[]
}

/** What was not measured, and why. */
export interface Absence {
  readonly what: string
  readonly why: string
}

export class Results {
  /** Something failed that should have worked. */
  hasFailed = false
  readonly #figures = new Map<string, Figure & { readonly samples: number[] }>()
  readonly #absences = new Map<string, Absence>()
  readonly #notes: string[] = []

  add(measure: Measure, contender: string, ...samples: readonly number[]): void {
    const key = JSON.stringify([measure.group, measure.name, contender])
    const known = this.#figures.get(key)
    if (known !== undefined) known.samples.push(...samples)
    else this.#figures.set(key, { ...measure, contender, samples: [...samples] })
  }

  missing(what: string, why: string): void {
    this.#absences.set(what, { what, why })
  }

  failed(what: string, error: unknown): void {
    this.hasFailed = true
    this.missing(what, `failed: ${error instanceof Error ? error.message : String(error)}`)
  }

  /** Something that the reader of the figures has to know. */
  note(text: string): void {
    if (!this.#notes.includes(text)) this.#notes.push(text)
  }

  get figures(): readonly Figure[] {
    return [...this.#figures.values()]
  }

  get absences(): readonly Absence[] {
    return [...this.#absences.values()]
  }

  get notes(): readonly string[] {
    return this.#notes
  }
}
