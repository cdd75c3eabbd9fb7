/** Typed text as the bytes of a job. ESC/POS is what receipt printers speak; its commands are Epson's. */
import { type Encoded, encode } from './charset.ts'

export type TextKind = 'plain' | 'receipt' | 'receiptChinese'

const ESC = 0x1b
const FS = 0x1c
const GS = 0x1d

/** ESC @: forget what the job before has set */
const INITIALISE = [ESC, 0x40]
/** ESC t 16: the table windows-1252 */
const WESTERN = [ESC, 0x74, 16]
/** FS &: two bytes are a Chinese character */
const CHINESE = [FS, 0x26]
/** GS V 66 0: feed to the cutter, and cut all but a point */
const CUT = [GS, 0x56, 66, 0]

export function textJob(text: string, kind: TextKind): Encoded {
  // What a form hands over may end its lines with CR LF, which ESC/POS takes for two.
  const lines = text.replaceAll(/\r\n?/g, '\n')
  if (kind === 'plain') return encode(lines, 'utf-8')
  const { bytes, replaced } = encode(
    lines.endsWith('\n') ? lines : `${lines}\n`,
    kind === 'receipt' ? 'windows-1252' : 'gb18030',
  )
  const head = [...INITIALISE, ...(kind === 'receipt' ? WESTERN : CHINESE)]
  return { bytes: Uint8Array.from([...head, ...bytes, ...CUT]), replaced }
}
