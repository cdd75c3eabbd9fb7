/** Holds the documents to the code: every code and limit has its row, and every command in the README exists. */
import { ERRORS, type ErrorCode, isErrorCode } from '../shared/errors.ts'
import { RESET_CODES } from '../shared/frames.ts'
import { LIMITS } from '../shared/limits.ts'
import { commandsOf, complaintAbout, shellBlocks } from './support/command-line.ts'
import { literal, type Node, parse, repositoryFile, sourceFiles, walk } from './support/sources.ts'

/** The rows of the table under a heading, as cells without the ` around them. */
function tableUnder(markdown: string, heading: string): string[][] {
  const section = markdown.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? ''
  const lines = section.split('\n').filter((line) => line.startsWith('|'))
  const rows = lines.map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )
  return rows.slice(2)
}

const unquoted = (cell: string | undefined): string => /^`([^`]+)`$/.exec(cell ?? '')?.[1] ?? `not quoted: ${cell}`

/** What the product is made of, without the file where a thing is defined. */
const sourcesBut = (...definedIn: readonly string[]): string[] =>
  [...sourceFiles()].flatMap(([path, text]) => (/^(test|bench)\//.test(path) || definedIn.includes(path) ? [] : [text]))

describe('docs/errors.md', () => {
  const markdown = repositoryFile('docs/errors.md')
  const codes = Object.keys(ERRORS) as ErrorCode[]

  test('has one row for each code, with its exit status and what to do', () => {
    const rows = tableUnder(markdown, 'Errors').map(([code, exit, when, next]) => [
      unquoted(code),
      Number(exit),
      when !== '',
      next,
    ])
    expect(rows).toEqual(codes.map((code) => [code, ERRORS[code].exit, true, ERRORS[code].next]))
  })

  test('has one row for each code of RESET, with its number', () => {
    const rows = tableUnder(markdown, 'Codes of RESET').map(([number, code, when]) => [
      unquoted(code),
      Number(number),
      when !== '',
    ])
    expect(rows).toEqual(Object.entries(RESET_CODES).map(([code, number]) => [code, number, true]))
    for (const code of Object.keys(RESET_CODES)) expect(codes).toContain(code)
  })

  test('names only codes that something uses', () => {
    const used = new Set(sourcesBut('shared/errors.ts', 'shared/messages.ts').flatMap(codesUsed))
    expect(codes.filter((code) => !used.has(code))).toEqual([])
  })

  test.each<[string, string[]]>([
    ["throw new NearportError('usage', '')", ['usage']],
    ["throw new NearportError(a ? 'peer-gone' : 'name-taken', '')", ['peer-gone', 'name-taken']],
    ["const f = (): ErrorCode => 'peer-gone'", ['peer-gone']],
    ["log.warn({ code: 'too-many-links' }, 'link refused')", ['too-many-links']],
    ['ERRORS.usage.exit', ['usage']],
    ["if (error.code === 'bind-taken') a()", []],
    ["switch (a) { case 'displaced': b() }", []],
    ["send({ type: 'displaced' })", []],
    ["type Step = 'displaced' | 'ready'", []],
    ["const codes = { 'peer-reset': 1 }", []],
  ])('counts what %s uses', (text, used) => {
    expect(codesUsed(text)).toEqual(used)
  })
})

/** String literals that may be the code of an error: not in types, comparisons, keys, or as the type of a message. */
function codesUsed(text: string): string[] {
  const used: string[] = []
  const visit = (node: Node): boolean => {
    const value = literal(node)
    if (isErrorCode(value)) used.push(value)
    if (isErrorsMember(node)) used.push((node.property as Node & { value: string }).value)
    if (node.type === 'KeyValueProperty') {
      if ((node.key as Node).value !== 'type') walk(node.value, visit)
      return false
    }
    if (node.type === 'SwitchCase') {
      walk(node.consequent, visit)
      return false
    }
    return !isComparison(node) && !isOnlyType(node)
  }
  walk(parse(text), visit)
  return used
}

const isComparison = (node: Node): boolean =>
  node.type === 'BinaryExpression' && (node.operator === '===' || node.operator === '!==')

const isOnlyType = ({ type }: Node): boolean =>
  ['TsLiteralType', 'TsTypeAliasDeclaration', 'TsInterfaceDeclaration', 'TsTypeAnnotation'].includes(type)

const isErrorsMember = (node: Node): boolean =>
  node.type === 'MemberExpression' && (node.object as Node).value === 'ERRORS' && 'value' in (node.property as Node)

describe('docs/limits.md', () => {
  const rows = tableUnder(repositoryFile('docs/limits.md'), 'Limits')
  const WRITTEN_IN = ['shared/limits.ts', 'shared/place-limits.ts']
  const names = Object.keys(LIMITS) as (keyof typeof LIMITS)[]
  const UNITS: Readonly<Record<string, number>> = { bytes: 1, KiB: 1024, MiB: 1024 ** 2, ms: 1, s: 1000 }

  test('has one row for each limit, with its value and a reason', () => {
    const documented = rows.map(([name, value = '', reason]) => {
      const [, number = '', unit = ''] = /^([\d,]+) (\S.*)$/.exec(value) ?? []
      return [unquoted(name), Number(number.replaceAll(',', '')) * (UNITS[unit] ?? 1), reason !== '' && unit !== '']
    })
    expect(documented).toEqual(names.map((name) => [name, LIMITS[name], true]))
  })

  test('gives bytes as bytes and times as times, as the comments in the code do', () => {
    const sources = WRITTEN_IN.map(repositoryFile).join('\n')
    const comments = sources.matchAll(/\/\*\* (bytes|ms)\b[^\n]*\n {2}(\w+):/g)
    const units = new Map([...comments].map(([, unit, name]) => [name, unit]))
    const wrong = rows.filter(([name, value = '']) => {
      const unit = units.get(unquoted(name))
      const documented = value.split(' ').at(-1) ?? ''
      const kind = /^(?:bytes|KiB|MiB)$/.test(documented) ? 'bytes' : /^m?s$/.test(documented) ? 'ms' : undefined
      return unit !== kind
    })
    expect(wrong).toEqual([])
  })

  test('names only limits that something reads', () => {
    const read = new Set<unknown>()
    for (const text of sourcesBut(...WRITTEN_IN)) {
      walk(parse(text), (node) => {
        if (node.type === 'Identifier') read.add(node.value)
        return true
      })
    }
    expect(names.filter((name) => !read.has(name))).toEqual([])
  })
})

test.each(['shared/messages.ts', 'shared/control.ts'])('docs/protocol.md describes every message of %s', (path) => {
  const protocol = repositoryFile('docs/protocol.md')
  const types = [...repositoryFile(path).matchAll(/\bmessage\('(\w+)'/g)].map(([, type]) => type)
  expect(types.length).toBeGreaterThan(5)
  for (const type of types) expect(protocol).toMatch(new RegExp(`^\\|.*\`${type}\``, 'm'))
})

describe('README.md', () => {
  const readme = repositoryFile('README.md')
  const blocks = shellBlocks(readme)
  const spans = [...readme.matchAll(/`(nearport [^`\n]+)`/g)].map(([, span = '']) => span)
  const lines = [...blocks, ...spans].flatMap((text) => commandsOf(text, 'nearport').map((words) => words.join(' ')))
  const commands = [...new Set(lines)].map((line) => line.split(' '))

  test('shows how to install, to try and to test', () => {
    expect(blocks.flatMap((block) => block.split('\n'))).toEqual(
      expect.arrayContaining(['npm ci && npm run demo', 'npm ci && npm test']),
    )
    expect(readme).toContain('npm install -g .')
  })

  test('shows every command', () => {
    const shown = new Set(commands.map(([command]) => command))
    for (const command of [
      'signal',
      'enable',
      'reserve',
      'share',
      'access',
      'release',
      'overview',
      'trust',
      'identity',
      'disable',
      'doctor',
      'version',
    ])
      expect(shown).toContain(command)
  })

  test.each(commands.map((words) => [words.join(' '), words] as const))('nearport %s', (_, words) => {
    expect(complaintAbout(words)).toBeNull()
  })

  test.each([
    ['access private pc1 --bend 127.0.0.1:9901', 'no option --bend'],
    ['access private pc1 --bind', '--bind needs value'],
    ['access private --bind 127.0.0.1:9901', '0 arguments for "access private"'],
    ['access pc1', 'no command: access pc1'],
    ['share reserved pc1 --engine fast', '--engine does not take fast'],
    ['release pc1 pc2', '2 arguments for "release"'],
  ])('would not show "nearport %s"', (line, complaint) => {
    expect(complaintAbout(line.split(' '))).toBe(complaint)
  })

  test('describes every environment variable, and no other', () => {
    const variables = (text: string) => new Set(text.match(/\bNEARPORT_[A-Z_]+/g))
    expect([...variables(readme)].sort()).toEqual([...variables(sourcesBut().join('\n'))].sort())
  })

  test('links only to files and headings that exist', () => {
    for (const [, path = '', anchor] of readme.matchAll(/\]\((?!https?:|docs\/adr\))([^)#]*)(?:#([^)]*))?\)/g)) {
      const target = repositoryFile(path === '' ? 'README.md' : path)
      const headings = [...target.matchAll(/^#+ (.*)$/gm)].map(([, text = '']) => slug(text))
      if (anchor !== undefined) expect(headings).toContain(anchor)
    }
  })
})

/** The anchor a heading gets where the documents are shown. */
const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
