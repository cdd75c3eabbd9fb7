/** What went wrong, in a form that the page has words for in each language. */
import { asNearportError } from '../../shared/errors.ts'
import type { ProblemCode, Words } from './words.ts'

export interface Problem {
  readonly code: string
  /** in English, from where it happened; null when the words of the code say it all */
  readonly detail: string | null
  readonly next: string | null
}

export const problem = (code: ProblemCode): Problem => ({ code, detail: null, next: null })

export function problemOf(thrown: unknown): Problem {
  const { code, message, next } = asNearportError(thrown)
  return { code, detail: message, next }
}

const isKnown = (code: string, words: Words): code is ProblemCode => Object.hasOwn(words.problems, code)

/** Its words in a language; what the page has none for keeps those of the library. */
export function inWords({ code, detail, next }: Problem, words: Words): { what: string; next: string | null } {
  return isKnown(code, words) ? words.problems[code] : { what: detail ?? code, next }
}
