/** The words of the page in each of its languages. A key that one of them lacks does not compile. */
import { en, type Words } from './words.en.ts'
import { zh } from './words.zh.ts'

export type { Words }

/** By the tag that `lang` and Intl take. */
export const WORDS = { en, 'zh-CN': zh } as const satisfies Readonly<Record<string, Words>>

export type Language = keyof typeof WORDS

export type ProblemCode = keyof Words['problems']

const isLanguage = (tag: string | null): tag is Language => tag !== null && Object.hasOwn(WORDS, tag)

/** What was chosen before, else the first of the languages of the browser that the page has, else English. */
export function chooseLanguage(remembered: string | null, preferred: readonly string[]): Language {
  if (isLanguage(remembered)) return remembered
  for (const tag of preferred) {
    const [primary] = tag.toLowerCase().split('-')
    if (primary === 'zh') return 'zh-CN'
    if (primary === 'en') return 'en'
  }
  return 'en'
}

export const otherLanguage = (language: Language): Language => (language === 'en' ? 'zh-CN' : 'en')
