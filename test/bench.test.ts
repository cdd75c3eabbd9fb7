/** The bench itself: what it makes of samples, what it says of them, and one small run of it. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, jest, test } from '@jest/globals'
import { CASES } from '../bench/cases/all.ts'
import { CONTENDERS } from '../bench/contenders/all.ts'
import { GOALS, ratios, SERVER, verdicts } from '../bench/goals.ts'
import { parseOptions } from '../bench/options.ts'
import { json, markdown, number } from '../bench/report.ts'
import { Results } from '../bench/results.ts'
import { median, percentile, summary } from '../bench/stats.ts'
import { Line, type Timing } from '../bench/tcp/line.ts'
import { bulk, short } from '../bench/tcp/load.ts'
import { Target } from '../bench/tcp/target.ts'

const RUN = fileURLToPath(new URL('../dist/bench/run.js', import.meta.url))

describe('samples', () => {
  test.each<[number[], number]>([
    [[3], 3],
    [[9, 1, 5], 5],
    [[4, 1, 3, 2], 2.5],
  ])('the median of %p is %p', (samples, expected) => {
    expect(median(samples)).toBe(expected)
  })

  test('a percentile is a sample that so many do not exceed', () => {
    const samples = Array.from({ length: 200 }, (_, index) => 200 - index)
    expect([50, 95, 99, 100].map((percent) => percentile(samples, percent))).toEqual([100, 190, 198, 200])
    expect(percentile([7], 1)).toBe(7)
  })

  test('of none there is nothing to say', () => {
    for (const ask of [median, summary, (samples: number[]) => percentile(samples, 50)]) {
      expect(() => ask([])).toThrow('no samples')
    }
  })

  test('are summed up without being changed', () => {
    const samples = [5, 1, 3]
    expect(summary(samples)).toEqual({ median: 3, least: 1, most: 5, count: 3 })
    expect(samples).toEqual([5, 1, 3])
  })
})

const RATE = { group: 'Bulk', name: 'up, 1 connection', unit: 'MB/s' }

/** Two contenders in three rounds; in the second everything was twice as fast. */
function someResults(): Results {
  const results = new Results()
  results.add(RATE, 'bare native', 100)
  results.add(RATE, 'nearport native', 90)
  results.add(RATE, 'nearport native', 180, 96)
  results.add(RATE, 'bare native', 200, 100)
  return results
}

describe('results', () => {
  test('are compared round by round', () => {
    const [bare, near] = someResults().figures
    if (bare === undefined || near === undefined) throw new Error('not two figures')
    expect(ratios(near, bare)).toEqual([0.9, 0.9, 0.96])
    // A contender that failed in the middle is compared as far as it came.
    expect(ratios(near, { ...bare, samples: [100] })).toEqual([0.9])
  })

  test('are held to the goals they tell something of', () => {
    const goal = { group: 'Bulk', measure: RATE.name, contender: 'nearport native', to: 'bare native' }
    const of = (...goals: Parameters<typeof verdicts>[1] & object) =>
      verdicts(someResults().figures, goals).map(({ value, isMet }) => [value, isMet])
    expect(of({ ...goal, least: 0.9 }, { ...goal, least: 0.91 })).toEqual([
      [0.9, true],
      [0.9, false],
    ])
    const { to: _, ...absolute } = goal
    expect(of({ ...absolute, most: 96 }, { ...absolute, most: 95 })).toEqual([
      [96, true],
      [96, false],
    ])
    expect(of({ ...goal, to: 'ssh -L', least: 1 }, { ...goal, group: 'Other', least: 1 })).toEqual([])
  })

  test('goals are of contenders that exist', () => {
    const names = [...CONTENDERS.map(({ name }) => name), SERVER]
    for (const { contender, to } of GOALS) {
      expect(names).toContain(contender)
      if (to !== undefined) expect(names).toContain(to)
    }
    for (const { comparedTo } of CONTENDERS) {
      expect(comparedTo.filter((name) => !name.startsWith('TCP ') && !names.includes(name))).toEqual([])
    }
  })
})

describe('the report', () => {
  const circumstances = {
    when: 'today',
    command: 'npm run bench',
    node: 'v20',
    machine: 'a machine',
    rounds: 3,
    quick: false,
    load: 0.4,
  }

  test('has figures, ratios, goals, and what is missing', () => {
    const results = someResults()
    results.missing('hypertele', 'not installed')
    // As the second contender of a round may be the first to be done, or to be 0.
    results.add({ group: 'Memory', name: 'grown', unit: 'MiB', isDifference: true }, 'nearport native', 3)
    results.add({ group: 'Memory', name: 'grown', unit: 'MiB', isDifference: true }, 'bare native', 0)
    results.failed('ssh -L', new Error('no route'))
    results.note('a note')
    results.note('a note')
    const text = markdown(results, circumstances, [
      { name: 'bare native', comparedTo: [] },
      { name: 'nearport native', comparedTo: ['bare native'] },
    ])
    expect(text).toContain('| up, 1 connection | bare native | 100 MB/s | 100 to 200 |  |\n')
    expect(text).toContain('| up, 1 connection | nearport native | 96.0 MB/s | 90.0 to 180 | 0.900 of bare native |\n')
    const goal = '| Bulk | up, 1 connection | nearport native, of bare native | at least 0.95 | 0.900 | **no** |\n'
    expect(text).toContain(goal)
    expect(text).toContain('| grown | bare native | 0 MiB |  |  |\n| grown | nearport native | 3.00 MiB |  |  |\n')
    expect(text).toContain('- hypertele: not installed\n- ssh -L: failed: no route\n')
    expect(text.match(/a note/g)).toHaveLength(1)
    expect(results.hasFailed).toBe(true)
  })

  test('as JSON has every sample', () => {
    const read = JSON.parse(json(someResults(), circumstances))
    expect(read.figures[1]).toMatchObject({ contender: 'nearport native', samples: [90, 180, 96] })
    expect(read.goals[0]).toMatchObject({ value: 0.9, isMet: false })
  })

  test.each<[number, string]>([
    [0, '0'],
    [1234.5, '1235'],
    [94.56, '94.6'],
    [1.006, '1.01'],
    [-0.12345, '-0.123'],
    [0.00012, '0.000'],
  ])('writes %p as %p', (value, text) => {
    expect(number(value)).toBe(text)
  })
})

describe('the command line', () => {
  const parse = (...words: string[]) => parseOptions(words, { cases: CASES, contenders: CONTENDERS })

  test('without words asks for everything', () => {
    expect(parse()).toEqual({
      quick: false,
      cases: CASES.map(({ id }) => id),
      contenders: CONTENDERS.map(({ name }) => name),
      rounds: 5,
      json: null,
      markdown: null,
    })
  })

  test('picks cases and contenders, in the order of the report', () => {
    const words = [
      '--quick',
      '--case',
      'cold,bulk',
      '--contender',
      'nearport native, raw TCP',
      '--json',
      'a',
      '--rounds',
    ]
    expect(parse(...words, '3')).toMatchObject({
      quick: true,
      cases: ['bulk', 'cold'],
      contenders: ['raw TCP', 'nearport native'],
      rounds: 3,
      json: 'a',
    })
    expect(parse('--quick').rounds).toBe(2)
  })

  test.each([['--case', 'none'], ['--contender', 'zrok'], ['--rounds', '0'], ['--rounds', 'x'], ['more']])(
    'refuses %s %s',
    (...words: string[]) => {
      const write = jest.spyOn(process.stderr, 'write').mockImplementation(() => true)
      expect(() => parse(...words)).toThrow()
      write.mockRestore()
    },
  )
})

describe('loads', () => {
  async function withTarget(use: (port: number) => Promise<void>): Promise<void> {
    const target = await Target.start()
    try {
      await use(target.port)
    } finally {
      await target.close()
    }
  }

  test('a job takes all its bytes up, and its bytes down and one more', () =>
    withTarget(async (port) => {
      const line = await Line.open(port)
      const jobs: [number, number][] = [
        [0, 0],
        [1, 0],
        [0, 700_000],
        [3_000_000, 5],
        [1_000_000, 1_000_000],
      ]
      let received = 0
      for (const [up, down] of jobs) {
        const { firstByte, total }: Timing = await line.run({ up, down })
        expect(firstByte).toBeLessThanOrEqual(total)
        received += down + 1
        expect(line.received).toBe(received)
      }
      await line.close()
    }))

  test('bulk and short connections come to their end', () =>
    withTarget(async (port) => {
      for (const direction of ['up', 'down', 'both'] as const) {
        const load = { direction, bytes: 1_000_000, connections: 7, shares: 2 }
        expect(await bulk([port, port, port], load)).toBeGreaterThan(0)
      }
      expect(await short(port, { connections: 20, atOnce: 4, most: 60 })).toBeGreaterThan(0)
    }))

  test('a job whose connection ends rejects, and a stalled one does not', async () => {
    const target = await Target.start()
    const [line, stalled] = [await Line.open(target.port), await Line.open(target.port)]
    stalled.stall(1_000_000)
    const job = line.run({ up: 0, down: 2 ** 40 })
    const failed = expect(job).rejects.toThrow()
    await target.close()
    await failed
    stalled.destroy()
    await expect(Line.once(target.port, { up: 1, down: 0 })).rejects.toThrow('ECONNREFUSED')
  })
})

test('npm run bench -- --quick writes its report', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nearport-bench-test-'))
  try {
    const files = ['--json', join(folder, 'a.json'), '--markdown', join(folder, 'a.md')]
    const words = [
      '--quick',
      '--rounds',
      '1',
      '--case',
      'first-byte',
      '--contender',
      'raw TCP,two Node relays,nearport werift',
    ]
    await promisify(execFile)(process.execPath, [RUN, ...words, ...files])
    const { figures } = JSON.parse(await readFile(join(folder, 'a.json'), 'utf8'))
    expect(figures).toHaveLength(15)
    expect(await readFile(join(folder, 'a.md'), 'utf8')).toContain('| p99 | nearport werift |')
  } finally {
    await rm(folder, { recursive: true })
  }
})
