/** What the console says and sends, without a browser: its words, numbers, receipts, answers, and pasted links. */
import { describe, expect, test } from '@jest/globals'
import { ERRORS, NearportError } from '../shared/errors.ts'
import { Answer, answerParts } from '../web/console/answer.ts'
import { encode } from '../web/console/charset.ts'
import { formatFor } from '../web/console/format.ts'
import { conditionOf } from '../web/console/health.ts'
import { CONSOLE } from '../web/console/limits.ts'
import { readPasted, serverOf } from '../web/console/link.ts'
import { inWords, problem, problemOf } from '../web/console/problem.ts'
import { textJob } from '../web/console/receipt.ts'
import { chooseLanguage, otherLanguage, WORDS } from '../web/console/words.ts'

const bytes = (...values: (number | string)[]): number[] =>
  values.flatMap((value) => (typeof value === 'number' ? [value] : [...Buffer.from(value, 'latin1')]))

describe('words', () => {
  test.each([
    [null, ['zh-TW', 'en'], 'zh-CN'],
    [null, ['de-DE', 'en-GB', 'zh'], 'en'],
    [null, ['de-DE'], 'en'],
    [null, [], 'en'],
    ['zh-CN', ['en'], 'zh-CN'],
    ['toString', ['zh'], 'zh-CN'],
  ] as const)('remembered %s, preferred %j: %s', (remembered, preferred, language) => {
    expect(chooseLanguage(remembered, preferred)).toBe(language)
  })

  test('the other language leads back', () => {
    expect(otherLanguage(otherLanguage('en'))).toBe('en')
    expect(otherLanguage('en')).not.toBe('en')
  })

  test('no text is left in English, nor empty', () => {
    const texts = (value: unknown): string[] =>
      typeof value === 'string' ? [value] : Object.values(value as object).flatMap(texts)
    const [english, chinese] = [texts(WORDS.en), texts(WORDS['zh-CN'])]
    expect(chinese).toHaveLength(english.length)
    expect(
      chinese.filter((text) => !/\p{Script=Han}/u.test(text) && !['English', 'Switch to English'].includes(text)),
    ).toEqual([])
    for (const text of [...english, ...chinese]) expect(text).not.toBe('')
  })

  test('problems have words, and what has none keeps those of the library', () => {
    const refused = problemOf(new NearportError('target-refused', 'pc1: connect ECONNREFUSED'))
    expect(inWords(refused, WORDS.en)).toEqual(WORDS.en.problems['target-refused'])
    expect(inWords(refused, WORDS['zh-CN']).what).toBe('打印机拒绝连接。')
    expect(inWords(problem('file-unreadable'), WORDS.en).next).toMatch(/choose it again/)
    const other = problemOf(new NearportError('store-failed', 'the disk is full'))
    expect(inWords(other, WORDS.en)).toEqual({ what: 'the disk is full', next: ERRORS['store-failed'].next })
    expect(problemOf(new TypeError('x is null'))).toMatchObject({ code: 'internal', detail: 'x is null' })
  })

  test('every problem is a code of the library, but the one of a file', () => {
    const foreign = Object.keys(WORDS.en.problems).filter((code) => !Object.hasOwn(ERRORS, code))
    expect(foreign).toEqual(['file-unreadable'])
  })

  test('a share leads with its presence, then with its health', () => {
    const status = (state: 'up' | 'down' | 'unknown' | 'off') =>
      ({
        health: { state, code: null, sinceMs: 0 },
        streams: 0,
        queued: 0,
        toTarget: 0,
        fromTarget: 0,
        servedMs: 0,
      }) as const
    const owners = { owner: 'a', knownOwner: null }
    expect(conditionOf({ ...owners, state: 'offline', status: status('up') })).toBe('offline')
    expect(conditionOf({ ...owners, state: 'online', status: null })).toBe('asked')
    expect(conditionOf({ ...owners, state: 'online', status: status('down') })).toBe('down')
    expect(conditionOf({ ...owners, knownOwner: 'a', state: 'online', status: status('off') })).toBe('off')
    expect(conditionOf({ ...owners, knownOwner: 'b', state: 'online', status: status('up') })).toBe('changed')
  })
})

describe('numbers', () => {
  const { bytes, moment, milliseconds } = formatFor('en')

  test.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [999, '999 bytes'],
    [1000, '1 kB'],
    [999_949, '999.9 kB'],
    [999_950, '1 MB'],
    [20_971_520, '21 MB'],
    [3.21e12, '3.2 TB'],
    [3.21e15, '3,210 TB'],
  ])('%d bytes: %s', (count, text) => {
    expect(bytes(count)).toBe(text)
  })

  test('bytes in Chinese', () => {
    expect(formatFor('zh-CN').bytes(12)).toBe('12字节')
  })

  test('a short time is finer than a long one', () => {
    expect(milliseconds(1.24)).toBe('1.2 ms')
    expect(milliseconds(48.3)).toBe('48 ms')
  })

  test('a moment of another day has its date', () => {
    const now = new Date(2026, 10, 24, 15, 0).getTime()
    expect(moment(new Date(2026, 10, 24, 9, 5).getTime(), now)).toMatch(/^09:05\sAM$/)
    expect(moment(new Date(2026, 10, 23, 9, 5).getTime(), now)).toMatch(/^Nov 23, 09:05\sAM$/)
  })
})

describe('typed text', () => {
  const job = (...args: Parameters<typeof textJob>) => {
    const { bytes, replaced } = textJob(...args)
    return { bytes: [...bytes], replaced }
  }

  test('plain text is sent as it is, in UTF-8', () => {
    expect(job('Café\r\n小票', 'plain')).toEqual({ bytes: [...Buffer.from('Café\n小票')], replaced: 0 })
  })

  test('a receipt initialises, chooses its table, ends its line and cuts', () => {
    expect(job('Café 2 €\r\nok', 'receipt')).toEqual({
      bytes: bytes(0x1b, '@', 0x1b, 't', 16, 'Caf', 0xe9, ' 2 ', 0x80, '\nok\n', 0x1d, 'V', 66, 0),
      replaced: 0,
    })
  })

  test('a Chinese receipt is in GB18030, two bytes a character', () => {
    expect(job('小票A\n', 'receiptChinese')).toEqual({
      bytes: bytes(0x1b, '@', 0x1c, '&', 0xd0, 0xa1, 0xc6, 0xb1, 'A\n', 0x1d, 'V', 66, 0),
      replaced: 0,
    })
  })

  test('what an encoding lacks becomes "?", and is counted', () => {
    expect(job('小😀', 'receipt')).toEqual({
      bytes: bytes(0x1b, '@', 0x1b, 't', 16, '??\n', 0x1d, 'V', 66, 0),
      replaced: 2,
    })
    expect(job('😀', 'receiptChinese').replaced).toBe(1)
  })

  test('GB18030 decodes to what was encoded', () => {
    const text = '打印机控制台：一二三，“引号” é'
    const { bytes, replaced } = encode(text, 'gb18030')
    expect(replaced).toBe(0)
    expect(new TextDecoder('gb18030').decode(bytes)).toBe(text)
  })

  test('windows-1252 has its own characters between 0x80 and 0x9f', () => {
    expect(encode('€‚Ÿ“”–\u00a0ÿ', 'windows-1252')).toEqual({
      bytes: Uint8Array.of(0x80, 0x82, 0x9f, 0x93, 0x94, 0x96, 0xa0, 0xff),
      replaced: 0,
    })
    expect(encode(' \u0081', 'windows-1252')).toEqual({ bytes: Uint8Array.of(0x20, 0x3f), replaced: 1 })
  })
})

describe('an answer', () => {
  test('is text, with the bytes that are none in hex', () => {
    const sent = Buffer.concat([
      Buffer.from('@PJL\r\n打印 ok'),
      Buffer.from([0x12, 0xff, 0xe6, 0x89]),
      Buffer.from('.'),
    ])
    expect(answerParts(sent)).toEqual([
      { kind: 'text', text: '@PJL' },
      { kind: 'hex', text: '0D' },
      { kind: 'text', text: '\n打印 ok' },
      { kind: 'hex', text: '12 FF E6 89' },
      { kind: 'text', text: '.' },
    ])
  })

  test.each([
    ['a surrogate', [0xed, 0xa0, 0x80], 'ED A0 80'],
    ['a character that turns the writing direction', [0xe2, 0x80, 0xae], 'E2 80 AE'],
    ['too long a form of "/"', [0xc0, 0xaf], 'C0 AF'],
    ['a control character in two bytes', [0xc2, 0x9b], 'C2 9B'],
  ])('%s is shown as its bytes', (_what, sent, hex) => {
    expect(answerParts(Uint8Array.from(sent))).toEqual([{ kind: 'hex', text: hex }])
  })

  test('is kept up to a bound, and counted beyond it', () => {
    const answer = new Answer()
    answer.add(Buffer.alloc(CONSOLE.answerBytes - 1, 'a'))
    answer.add(Buffer.from('bcd'))
    answer.add(Buffer.alloc(1_000_000))
    expect(answer.total).toBe(CONSOLE.answerBytes + 1_000_002)
    expect(answer.dropped).toBe(1_000_002)
    expect(answer.parts).toEqual([{ kind: 'text', text: `${'a'.repeat(CONSOLE.answerBytes - 1)}b` }])
  })
})

describe('a pasted link', () => {
  const KEY = 'A'.repeat(43)
  const SERVER = 'https://signal.example/nearport/'

  test.each([
    KEY,
    `#${KEY}`,
    ` ${SERVER}#${KEY}\n`,
    `https://signal.example/nearport#${KEY}`,
    `nearport enable ${SERVER}#${KEY}`,
  ])('%j gives the key', (text) => {
    expect(readPasted(text, SERVER)).toEqual({ kind: 'key', key: KEY })
  })

  test('of another server is told apart', () => {
    const link = `http://10.0.0.7:7070/#${KEY}`
    expect(readPasted(link, SERVER)).toEqual({ kind: 'elsewhere', link })
  })

  test.each([
    '',
    'nonsense',
    SERVER,
    `${SERVER}#short`,
    `javascript:alert(1)//#${KEY}`,
    `${SERVER}?a#${KEY}`,
    KEY.slice(1),
  ])('%j is none', (text) => {
    expect(readPasted(text, SERVER)).toEqual({ kind: 'invalid' })
  })

  test('the server is where the page came from, or what the page says', () => {
    expect(serverOf(`${SERVER}index.html#${KEY}`, '')).toBe(SERVER)
    expect(serverOf(`${SERVER}#a/b`, null)).toBe(SERVER)
    expect(serverOf('https://pages.example/till/', SERVER)).toBe(SERVER)
  })
})
