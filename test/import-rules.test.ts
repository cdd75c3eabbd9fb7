/** Who may import whom, and how long a file may be: what keeps the code readable in an hour. */
import { builtinModules } from 'node:module'
import { posix } from 'node:path'
import { literal, type Node, parse, repositoryFile, sourceFiles, walk } from './support/sources.ts'

/** Folders (and the one file) of the repository, and which of them each may import. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'cli.ts': ['peer', 'signaling', 'host', 'shared'],
  peer: ['peer', 'host', 'shared'],
  signaling: ['signaling', 'host', 'shared'],
  host: ['host', 'shared'],
  shared: ['shared'],
  web: ['web', 'shared'],
  bench: ['bench', 'peer', 'shared', 'web'],
  test: ['test', 'bench', 'peer', 'signaling', 'host', 'shared', 'web', 'cli.ts'],
}

/** These run in web pages: no Node module, and only packages that run there too. */
const IN_PAGES = ['shared', 'web']
const PAGE_PACKAGES = ['nanoid', 'preact', 'simple-peer', 'valibot']

const SOURCE_LINES = 300
const TEST_LINES = 400

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly optionalDependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

const manifest = JSON.parse(repositoryFile('package.json')) as Manifest
const INSTALLED = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.optionalDependencies)]
/** @jest/globals is a part of jest, which says to import it by that name. */
const DEVELOPMENT = [...Object.keys(manifest.devDependencies), '@jest/globals']

/** What a file imports, in whichever way; "?" for a dynamic import of what only running it would tell. */
function importsOf(text: string): string[] {
  const imports: string[] = []
  walk(parse(text), (node) => {
    const from = importedFrom(node)
    if (from !== undefined) imports.push(literal(from) ?? '?')
    return true
  })
  return imports
}

/** The node that names what `node` imports; undefined if it imports nothing. */
function importedFrom(node: Node): unknown {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
      return node.source
    case 'ExportNamedDeclaration':
      return node.source ?? undefined
    case 'TsImportType':
      return node.argument
    case 'TsExternalModuleReference':
      return node.expression
    case 'CallExpression':
      return isImportOrRequire(node.callee as Node) ? firstArgument(node.arguments) : undefined
    default:
      return undefined
  }
}

const isImportOrRequire = (callee: Node): boolean =>
  callee.type === 'Import' || (callee.type === 'Identifier' && callee.value === 'require')

const firstArgument = (list: unknown): unknown =>
  Array.isArray(list) ? (list[0] as { expression: unknown } | undefined)?.expression : null

const areaOf = (path: string): string => path.split('/', 1)[0] ?? path
const isRelative = (specifier: string): boolean => specifier.startsWith('.') || specifier.startsWith('/')
const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
const isBuiltin = (specifier: string): boolean =>
  specifier.startsWith('node:') || builtinModules.includes(packageOf(specifier))

/** What breaks a rule, a sentence each. */
function violations(files: ReadonlyMap<string, string>): string[] {
  const graph = new Map([...files].map(([path, text]) => [path, importsOf(text)]))
  const found: string[] = []
  for (const [path, imports] of graph) {
    if (MAY_IMPORT[areaOf(path)] === undefined) found.push(`${path}: no rule says what this folder may import`)
    else for (const specifier of imports) found.push(...violationsOf(path, specifier, files))
  }
  return [...found, ...cycles(graph), ...tooLong(files)]
}

function violationsOf(path: string, specifier: string, files: ReadonlyMap<string, string>): string[] {
  const area = areaOf(path)
  const wrong = (what: string) => [`${path}: ${what} ${specifier}`]
  if (specifier === '?') return wrong('imports by a name that is not a literal:')
  if (isRelative(specifier)) {
    const target = posix.join(posix.dirname(path), specifier)
    if (!files.has(target)) return wrong('imports a file that does not exist:')
    return MAY_IMPORT[area]?.includes(areaOf(target)) ? [] : wrong('may not import')
  }
  if (isBuiltin(specifier)) return IN_PAGES.includes(area) ? wrong('may not import the Node module') : []
  const name = packageOf(specifier)
  if (IN_PAGES.includes(area)) return PAGE_PACKAGES.includes(name) ? [] : wrong('may not import the package')
  const isKnown = INSTALLED.includes(name) || (['test', 'bench'].includes(area) && DEVELOPMENT.includes(name))
  return isKnown ? [] : wrong('imports a package that package.json does not name:')
}

/** Each cycle once, imports of types included: to read one of its files one has to know all of them. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = []
  const done = new Set<string>()
  const visit = (path: string, way: readonly string[]): void => {
    const begin = way.indexOf(path)
    if (begin >= 0) found.push(`import cycle: ${[...way.slice(begin), path].join(' → ')}`)
    if (begin >= 0 || done.has(path)) return
    for (const specifier of graph.get(path) ?? []) {
      if (isRelative(specifier)) visit(posix.join(posix.dirname(path), specifier), [...way, path])
    }
    done.add(path)
  }
  for (const path of graph.keys()) visit(path, [])
  return found
}

function tooLong(files: ReadonlyMap<string, string>): string[] {
  return [...files].flatMap(([path, text]) => {
    const lines = text.split('\n').length - 1
    const most = areaOf(path) === 'test' ? TEST_LINES : SOURCE_LINES
    return lines > most ? [`${path}: ${lines} lines, of ${most} at most`] : []
  })
}

test('the repository keeps the rules', () => {
  const files = sourceFiles()
  expect([...files.keys()]).toEqual(
    expect.arrayContaining(['cli.ts', 'shared/mux.ts', 'peer/pump.ts', 'signaling/hub.ts']),
  )
  expect(violations(files)).toEqual([])
})

describe('the rules find', () => {
  const clean: Readonly<Record<string, string>> = {
    'cli.ts': "import { a } from './peer/a.ts'\nimport { s } from './signaling/s.ts'",
    'peer/a.ts': "import { b } from '../shared/b.ts'\nimport net from 'node:net'\nimport ws from 'ws'",
    'signaling/s.ts': "export { b } from '../shared/b.ts'",
    'shared/b.ts': "import * as v from 'valibot'\nimport type { c } from './c.ts'",
    'web/d.ts': "import { b } from '../shared/b.ts'",
    'shared/c.ts': 'export const c = 1\n'.repeat(300),
    'test/a.test.ts': "import { a } from '../peer/a.ts'\nimport fc from 'fast-check'",
  }
  const check = (changes: Readonly<Record<string, string>>) =>
    violations(new Map(Object.entries({ ...clean, ...changes })))

  test('nothing where nothing is wrong', () => {
    expect(check({})).toEqual([])
  })

  test.each<[string, string, string, string]>([
    [
      'peer → signaling',
      'peer/a.ts',
      "import { s } from '../signaling/s.ts'",
      'peer/a.ts: may not import ../signaling/s.ts',
    ],
    [
      'signaling → peer',
      'signaling/s.ts',
      "export * from '../peer/a.ts'",
      'signaling/s.ts: may not import ../peer/a.ts',
    ],
    [
      'shared → peer, by type',
      'shared/b.ts',
      "import type { a } from '../peer/a.ts'",
      'shared/b.ts: may not import ../peer/a.ts',
    ],
    [
      'shared → peer, dynamically',
      'shared/b.ts',
      "await import('../peer/a.ts')",
      'shared/b.ts: may not import ../peer/a.ts',
    ],
    [
      'shared → peer, exported',
      'shared/b.ts',
      "export { a } from '../peer/a.ts'",
      'shared/b.ts: may not import ../peer/a.ts',
    ],
    [
      'shared → peer, in a type',
      'shared/b.ts',
      "type A = import('../peer/a.ts').A",
      'shared/b.ts: may not import ../peer/a.ts',
    ],
    [
      'a Node module in shared',
      'shared/b.ts',
      "import fs from 'node:fs'",
      'shared/b.ts: may not import the Node module node:fs',
    ],
    [
      'a Node module in shared, by its old name',
      'shared/b.ts',
      "import fs from 'fs/promises'",
      'shared/b.ts: may not import the Node module fs/promises',
    ],
    ['a Node module in web', 'web/d.ts', "import 'node:fs'", 'web/d.ts: may not import the Node module node:fs'],
    ['signaling → web', 'signaling/s.ts', "import '../web/d.ts'", 'signaling/s.ts: may not import ../web/d.ts'],
    ['a package in shared', 'shared/b.ts', "import ws from 'ws'", 'shared/b.ts: may not import the package ws'],
    ['cli.ts imported', 'peer/a.ts', "import '../cli.ts'", 'peer/a.ts: may not import ../cli.ts'],
    ['tests imported', 'peer/a.ts', "import '../test/a.test.ts'", 'peer/a.ts: may not import ../test/a.test.ts'],
    [
      'a development package',
      'peer/a.ts',
      "import fc from 'fast-check'",
      'peer/a.ts: imports a package that package.json does not name: fast-check',
    ],
    [
      'a package nobody named',
      'signaling/s.ts',
      "import x from '@x/y/z.js'",
      'signaling/s.ts: imports a package that package.json does not name: @x/y/z.js',
    ],
    ['a computed import', 'peer/a.ts', 'await import(name)', 'peer/a.ts: imports by a name that is not a literal: ?'],
    ['require', 'shared/b.ts', "require('fs')", 'shared/b.ts: may not import the Node module fs'],
    [
      'a file that is not there',
      'peer/a.ts',
      "import './gone.ts'",
      'peer/a.ts: imports a file that does not exist: ./gone.ts',
    ],
    ['a folder without a rule', 'extra/x.ts', '', 'extra/x.ts: no rule says what this folder may import'],
    ['a file without a rule', 'other.ts', '', 'other.ts: no rule says what this folder may import'],
    ['a cycle', 'shared/c.ts', "import { b } from './b.ts'", 'import cycle: shared/b.ts → shared/c.ts → shared/b.ts'],
    ['a file that imports itself', 'shared/c.ts', "import './c.ts'", 'import cycle: shared/c.ts → shared/c.ts'],
    ['a long file', 'shared/c.ts', '\n'.repeat(301), 'shared/c.ts: 301 lines, of 300 at most'],
    ['a long test', 'test/a.test.ts', '\n'.repeat(401), 'test/a.test.ts: 401 lines, of 400 at most'],
  ])('%s', (_, path, text, violation) => {
    expect(check({ [path]: text })).toContain(violation)
  })
})
