/**
 * Text of others, as it may be shown. On a terminal control characters move the cursor, rename the window or answer as if
 * typed; format characters turn the direction of what follows, or hide; and either ends a line of a log where its writer
 * likes. So none of them is shown: of the general categories of Unicode Cc, Cf, Zl, Zp, and Cs, which is half a character.
 */

/** What only separates: a space says as much. */
const SPACES = /[\t\n\v\f\r\x85\p{Zl}\p{Zp}]/gu
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}]/gu

/** `text` with a space or U+FFFD in the place of each character that is not to be shown. */
export const safeText = (text: string): string => text.replace(SPACES, ' ').replace(UNSAFE, '\ufffd')

/** Each string within a value of JSON. */
export function safeStrings<T>(value: T): T
export function safeStrings(value: unknown): unknown {
  if (typeof value === 'string') return safeText(value)
  if (Array.isArray(value)) return value.map((item) => safeStrings(item))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, safeStrings(item)]))
}

/** The stack of an error, which keeps its lines: those that V8 makes, and not those of the message. */
export const safeStack = (stack: string): string =>
  stack
    .split(/\n(?= {4}at )/)
    .map(safeText)
    .join('\n')
