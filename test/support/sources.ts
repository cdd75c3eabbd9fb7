/** The TypeScript files of the repository as syntax trees, for the tests that hold rules and documents to them. */
import { readdirSync, readFileSync } from 'node:fs'
import { type Module, parseSync } from '@swc/core'

const ROOT = new URL('../../', import.meta.url)
const SKIPPED = new Set(['node_modules', 'dist', 'coverage'])

/** Text by path from the root of the repository, with "/"; nothing generated or installed. */
export function sourceFiles(under = ''): Map<string, string> {
  const files = new Map<string, string>()
  for (const entry of readdirSync(new URL(under, ROOT), { withFileTypes: true })) {
    if (entry.name.startsWith('.') || SKIPPED.has(entry.name)) continue
    const path = under + entry.name
    if (entry.isDirectory()) for (const [inner, text] of sourceFiles(`${path}/`)) files.set(inner, text)
    else if (/\.tsx?$/.test(entry.name)) files.set(path, readFileSync(new URL(path, ROOT), 'utf8'))
  }
  return files
}

export const repositoryFile = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8')

/** A node of a syntax tree, as far as every kind of node is one. */
export interface Node {
  readonly type: string
  readonly [key: string]: unknown
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'

export const parse = (text: string): Module => parseSync(text, { syntax: 'typescript', tsx: true, target: 'es2022' })

/** Calls `visit` with each node below `value`, parents first; it returns false to leave out what is below a node. */
export function walk(value: unknown, visit: (node: Node) => boolean): void {
  if (Array.isArray(value)) {
    for (const item of value) walk(item, visit)
  } else if (typeof value === 'object' && value !== null) {
    if (isNode(value) && !visit(value)) return
    for (const inner of Object.values(value)) walk(inner, visit)
  }
}

/** The value of a string literal; null for any other node. */
export const literal = (node: unknown): string | null =>
  isNode(node) && node.type === 'StringLiteral' && typeof node.value === 'string' ? node.value : null
