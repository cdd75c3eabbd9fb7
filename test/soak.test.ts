/** The soak is worth what it finds: each way in which a job can go wrong is found, and a right one passes. */
import { createHash } from 'node:crypto'
import { inspect, jobBytes } from '../bench/soak/pattern.ts'
import { answerTo, Printer, type Receipt } from '../bench/soak/printer.ts'
import { Random } from '../bench/soak/random.ts'
import { growths, MIB, type Sample } from '../bench/soak/samples.ts'
import { type Job, type Order, send } from '../bench/soak/till.ts'
import { mismatches, NO_KILLS } from '../bench/soak/verify.ts'
import { readAll, TcpTarget } from './support/tcp.ts'

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** A job as a till has it at the end; printed, unless said otherwise. */
function job(id: number, size: number, changes: Partial<Job> = {}): Job {
  const sum = sha256(jobBytes(id, size))
  const outcome = { outcome: 'printed', answer: answerTo(id, sum), endedAt: 20, error: null } as const
  const places = { access: 'access-1', printer: 'printer-11', from: '127.0.0.1:40000', beganAt: 10 }
  return { id, size, sha256: sum, ...places, ...outcome, ...changes }
}

/** What a printer makes of these bytes. */
function receipt(bytes: Buffer, changes: Partial<Receipt> = {}): Receipt {
  const arrived = { bytes: bytes.length, sha256: sha256(bytes), ...inspect(bytes) }
  return { printer: 'printer-11', openedAt: 11, endedAt: 19, ...arrived, end: 'fin', ...changes }
}

const SIZE = 5000
const reset = (id: number) => job(id, SIZE, { outcome: 'reset', answer: '', error: 'ECONNRESET' })
const whole = (id: number) => receipt(jobBytes(id, SIZE))
const part = (id: number, bytes: number, end: Receipt['end']) => receipt(jobBytes(id, SIZE).subarray(0, bytes), { end })
const changed = (id: number, change: (bytes: Buffer) => Buffer): Buffer => change(Buffer.from(jobBytes(id, SIZE)))

describe('nothing is found', () => {
  test.each<[string, Job[], Receipt[]]>([
    ['in jobs that were printed once', [job(1, SIZE), job(2, SIZE)], [whole(2), whole(1)]],
    ['in a job that was reset, and arrived in part', [reset(1)], [part(1, 100, 'reset')]],
    ['in a job that was reset, and arrived nowhere', [reset(1)], []],
    ['in a job that was reset after all of it had arrived', [reset(1)], [whole(1)]],
    ['in a connection that was cut off before its first bytes', [], [receipt(Buffer.alloc(0), { end: 'reset' })]],
    ['in a connection without a byte', [reset(1)], [receipt(Buffer.alloc(0))]],
    ['in a printer that was switched off', [reset(1)], [part(1, 100, 'off')]],
  ])('%s', (_, jobs, receipts) => {
    expect(mismatches(jobs, receipts)).toEqual([])
  })

  test('where a kill ended a connection in order', () => {
    const ended = job(1, SIZE, { outcome: 'ended', answer: '' })
    const kills = { share: () => true, access: () => true }
    expect(mismatches([ended], [part(1, 100, 'fin')], kills)).toEqual([])
    expect(mismatches([ended], [part(1, 100, 'fin')], NO_KILLS)).toHaveLength(2)
  })
})

describe('it finds', () => {
  const swapped = changed(1, (bytes) => {
    jobBytes(2, SIZE).copy(bytes, 1600, 1600, 1700)
    return bytes
  })
  const flipped = changed(1, (bytes) => {
    bytes[4321] = (bytes[4321] ?? 0) ^ 1
    return bytes
  })
  const hole = changed(1, (bytes) => Buffer.concat([bytes.subarray(0, 1600), bytes.subarray(3200)]))
  const again = changed(1, (bytes) => Buffer.concat([bytes.subarray(0, 1600), bytes]))
  const joined = Buffer.concat([jobBytes(1, SIZE), jobBytes(2, SIZE)])
  const late = changed(1, (bytes) => bytes.subarray(16))
  const wrongSum = answerTo(1, sha256(Buffer.from('other')))

  test.each<[string, Job[], Receipt[], RegExp]>([
    ['a bit that was flipped', [reset(1)], [receipt(flipped, { end: 'reset' })], /at byte 4321 of 5000/],
    [
      'bytes of another job in the same place',
      [reset(1)],
      [receipt(swapped, { end: 'reset' })],
      /byte 1600 is byte 1600 of job 2/,
    ],
    ['bytes that are missing', [reset(1)], [receipt(hole)], /byte 1600 is byte 3200 of job 1/],
    ['bytes that came twice', [reset(1)], [receipt(again)], /byte 1600 is the beginning of job 1/],
    ['a job behind a job', [reset(1), reset(2)], [receipt(joined)], /byte 5000 is the beginning of job 2/],
    [
      'a job without its beginning',
      [reset(1)],
      [receipt(late)],
      /nobody sent: it begins with byte 0 is byte 16 of job 1/,
    ],
    ['what is no job', [], [receipt(Buffer.from('something else altogether'))], /nobody sent/],
    ['a job that ended too early', [reset(1)], [part(1, 100, 'fin')], /job 1 ended in order after 100 of 5000 bytes/],
    ['an end before a whole first cell', [reset(1)], [part(1, 15, 'fin')], /an end in order after 15 bytes/],
    ['a job of nobody', [], [whole(3)], /job 3 was never sent/],
    ['a job at another printer', [reset(1)], [{ ...whole(1), printer: 'printer-12' }], /was for printer printer-11/],
    ['a job that arrived twice', [job(1, SIZE)], [whole(1), whole(1)], /arrived 2 times/],
    ['a part that came before the whole', [job(1, SIZE)], [part(1, 100, 'reset'), whole(1)], /arrived 2 times/],
    ['a job that is said to be printed and is not', [job(1, SIZE)], [], /did not arrive/],
    ['one that is said to be printed and is cut off', [job(1, SIZE)], [part(1, 100, 'reset')], /with 100 bytes, reset/],
    [
      'an end without the answer',
      [job(1, SIZE, { outcome: 'ended', answer: '' })],
      [whole(1)],
      /0 bytes of its answer/,
    ],
    ['a wrong answer', [job(1, SIZE, { outcome: 'ended', answer: wrongSum })], [whole(1)], /got the answer "1 /],
    ['a wrong answer before a reset', [{ ...reset(1), answer: wrongSum }], [whole(1)], /before its reset/],
    ['a job that was refused and arrived', [job(1, SIZE, { outcome: 'refused' })], [whole(1)], /arrived all the same/],
  ])('%s', (_, jobs, receipts, expected) => {
    expect(mismatches(jobs, receipts).join('\n')).toMatch(expected)
  })
})

describe('over real sockets', () => {
  const order = (port: number, changes: Partial<Order> = {}): Order => ({
    ...{ id: 7, size: 300_000, access: 'access-1', port, printer: 'printer-11', pace: null, givesUpAfter: null },
    ...changes,
  })
  let jobs: Job[] = []
  const sent = async (next: Order) => {
    jobs = []
    return (await send(next, (noted) => jobs.push(noted))).outcome
  }
  let printer: Printer
  beforeEach(async () => {
    const free = await TcpTarget.start(() => undefined)
    await free.off()
    printer = new Printer('printer-11', free.port)
    await printer.on()
  })
  afterEach(() => printer.off())
  const closed = async () => {
    while (printer.open > 0) await new Promise(setImmediate)
  }

  test('a job is printed; one that its till gives up is a part of it, and no more', async () => {
    expect(await sent(order(printer.port))).toBe('printed')
    expect(mismatches(jobs, printer.receipts)).toEqual([])
    expect(await sent(order(printer.port, { id: 8, givesUpAfter: 100_000 }))).toBe('gave-up')
    await closed()
    expect(printer.receipts.at(-1)).toMatchObject({ end: 'reset' })
    expect(mismatches([...jobs, job(7, 300_000)], printer.receipts)).toEqual([])
  })

  test('a printer that is off refuses, and one that goes off resets', async () => {
    printer.stall()
    const lost = sent(order(printer.port, { size: 16 * MIB }))
    while (printer.open === 0) await new Promise(setImmediate)
    await printer.off()
    expect(await lost).toBe('reset')
    expect(await sent(order(printer.port))).toBe('refused')
    expect(printer.receipts).toMatchObject([{ end: 'off' }])
  })

  test('a wrong byte on the way is found', async () => {
    const between = await TcpTarget.start(async (socket) => {
      const bytes = await readAll(socket)
      bytes[200_000] = (bytes[200_000] ?? 0) ^ 1
      socket.end(answerTo(7, sha256(bytes)))
      printer.receipts.push(receipt(bytes))
    })
    expect(await sent(order(between.port))).toBe('ended')
    expect(mismatches(jobs, printer.receipts).join('\n')).toMatch(/at byte 200000 of 300000(.|\n)*got the answer "7 /)
    await between.off()
  })
})

describe('growth', () => {
  const instance = { service: 'share-1', number: 1, pid: 1, startedAt: 0 }
  const over = (rss: (minute: number) => number, handles: (minute: number) => number): Sample[] =>
    Array.from({ length: 61 }, (_, n) => {
      const minute = n / 12
      return { instance, at: minute * 60_000, rss: rss(minute) * MIB, peak: 0, handles: handles(minute) }
    })
  const grows = (samples: Sample[]) => growths(samples).map((one) => one.grows)

  test('is found in memory and in handles, and not where they only go up and down', () => {
    const wave = (minute: number) => 100 + 20 * Math.sin(minute * 7)
    expect(grows(over(wave, wave))).toEqual([false])
    expect(grows(over((minute) => 100 + 20 * minute, wave))).toEqual([true])
    expect(grows(over(wave, (minute) => 20 + 6 * minute))).toEqual([true])
  })

  test('is told in bytes a minute', () => {
    const [growth] = growths(
      over(
        (minute) => 100 + 3 * minute,
        () => 20,
      ),
    )
    expect(growth?.slope).toBeCloseTo(3 * MIB, 0)
  })

  test('is not asked of a process that lived a minute', () => {
    expect(
      growths(
        over(
          (minute) => 100 * minute,
          () => 20,
        ).slice(0, 13),
      ),
    ).toEqual([])
  })
})

test('the same seed draws the same', () => {
  const draw = (seed: number) => {
    const random = new Random(seed)
    return Array.from({ length: 20 }, () => [random.logBetween(1, 1000), random.pick(['a', 'b', 'c'])])
  }
  expect(draw(5)).toEqual(draw(5))
  expect(draw(5)).not.toEqual(draw(6))
  for (const [number] of draw(5)) expect(Math.abs(Number(number) - 500.5)).toBeLessThanOrEqual(499.5)
})
