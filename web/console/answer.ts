/** What a printer sends back: kept up to a bound, and shown as text, with the bytes that are none in hex. */
import { safeText } from '../../shared/safe-text.ts'
import { CONSOLE } from './limits.ts'

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export interface AnswerPart {
  readonly kind: 'text' | 'hex'
  /** hex: two digits a byte, with a space between two bytes */
  readonly text: string
}

export class Answer {
  /** bytes that came in all */
  total = 0
  /** What is shown of it. */
  parts: readonly AnswerPart[] = []
  #kept = new Uint8Array()

  get dropped(): number {
    return this.total - this.#kept.length
  }

  add(chunk: Uint8Array): void {
    this.total += chunk.length
    const more = chunk.subarray(0, CONSOLE.answerBytes - this.#kept.length)
    if (more.length === 0) return
    const kept = new Uint8Array(this.#kept.length + more.length)
    kept.set(this.#kept)
    kept.set(more, this.#kept.length)
    this.#kept = kept
    this.parts = answerParts(kept)
  }
}

/** ASCII that is no control character (line feed and tab are shown as such), one character of UTF-8, or one byte. */
const CHARACTER = /[\t\n\x20-\x7e]+|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|./gs

export function answerParts(bytes: Uint8Array): AnswerPart[] {
  const parts: AnswerPart[] = []
  // A character of this string for each byte, so that the expression sees bytes.
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
  for (const [run] of binary.matchAll(CHARACTER)) {
    const text = asText(run)
    const part: AnswerPart = text === null ? { kind: 'hex', text: asHex(run) } : { kind: 'text', text }
    const last = parts.at(-1)
    if (last?.kind !== part.kind) parts.push(part)
    else parts[parts.length - 1] = { ...part, text: last.text + (part.kind === 'hex' ? ' ' : '') + part.text }
  }
  return parts
}

/** Null for what is not UTF-8 after all (such as surrogates), or only moves or hides what is around it. */
function asText(run: string): string | null {
  const text = decoder.decode(Uint8Array.from(run, (byte) => byte.charCodeAt(0)))
  const shown = text.replaceAll(/[\t\n]/g, '')
  return shown.includes('\ufffd') || shown !== safeText(shown) ? null : text
}

const asHex = (run: string): string =>
  Array.from(run, (byte) => byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')).join(' ')
