/** Text in the encodings that receipt printers read. */

export type Charset = 'utf-8' | 'windows-1252' | 'gb18030'

export interface Encoded {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** characters that the encoding lacks, each now a "?" */
  readonly replaced: number
}

/** 0x80 to 0x9f; from there on windows-1252 is Unicode. A blank stands for nothing. */
const WESTERN = '€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ'

const tables = new Map<Charset, ReadonlyMap<string, readonly number[]>>()

export function encode(text: string, charset: Charset): Encoded {
  if (charset === 'utf-8') return { bytes: new TextEncoder().encode(text), replaced: 0 }
  const table = tables.get(charset) ?? (charset === 'gb18030' ? chinese() : western())
  tables.set(charset, table)
  const bytes: number[] = []
  let replaced = 0
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    const encoded = code < 0x80 ? [code] : table.get(character)
    if (encoded === undefined) replaced++
    bytes.push(...(encoded ?? [0x3f]))
  }
  return { bytes: Uint8Array.from(bytes), replaced }
}

function western(): Map<string, readonly number[]> {
  const table = new Map<string, readonly number[]>()
  for (const [at, character] of [...WESTERN].entries()) if (character !== ' ') table.set(character, [0x80 + at])
  for (let code = 0xa0; code <= 0xff; code++) table.set(String.fromCharCode(code), [code])
  return table
}

/** Those of two bytes; printers know none of four. Browsers only decode it, so the table is that, inverted. */
function chinese(): Map<string, readonly number[]> {
  const decoder = new TextDecoder('gb18030')
  const table = new Map<string, readonly number[]>()
  for (let lead = 0x81; lead <= 0xfe; lead++) {
    for (let trail = 0x40; trail <= 0xfe; trail++) {
      const text = decoder.decode(Uint8Array.of(lead, trail))
      if ([...text].length === 1 && text !== '\ufffd' && !table.has(text)) table.set(text, [lead, trail])
    }
  }
  return table
}
