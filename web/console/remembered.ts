/** What the page keeps in the browser. */

const LANGUAGE = 'nearport-language'

/** Null also where the browser lets pages keep nothing: then the choice lasts as long as the page. */
export function rememberedLanguage(): string | null {
  return storage()?.getItem(LANGUAGE) ?? null
}

export function rememberLanguage(language: string): void {
  storage()?.setItem(LANGUAGE, language)
}

function storage(): Storage | null {
  try {
    return localStorage
  } catch (error) {
    if (error instanceof DOMException && error.name === 'SecurityError') return null
    throw error
  }
}
