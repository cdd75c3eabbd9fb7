/** The files for browsers, as the build has put them into dist/web/. They are few, and kept in memory. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join, relative, sep } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { FastifyInstance } from 'fastify'

/** Nothing else is served. */
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.map': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
  '.webmanifest': 'application/manifest+json',
}

/** A page talks to the server it came from and to peers, and does nothing else, whatever gets into it. */
const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "connect-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cross-origin-opener-policy': 'same-origin',
  // Asked for anew each time, and sent only when it is another: a page and its script must fit each other.
  'cache-control': 'no-cache',
}

export interface WebFile {
  readonly type: string
  /** without its quotes */
  readonly etag: string
  readonly bytes: Buffer
  readonly gzipped: Buffer
}

/** By path below the root of the server, without a leading "/"; a folder stands for its index.html. */
export async function readWebFiles(folder: string): Promise<ReadonlyMap<string, WebFile>> {
  const files = new Map<string, WebFile>()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const type = TYPES[extname(entry.name)]
    if (!entry.isFile() || type === undefined) continue
    const file = join(entry.parentPath, entry.name)
    const bytes = await readFile(file)
    const etag = createHash('sha256').update(bytes).digest('base64url')
    const path = relative(folder, file).replaceAll(sep, '/')
    files.set(path.replace(/(^|\/)index\.html$/, '$1'), { type, etag, bytes, gzipped: gzipSync(bytes, { level: 9 }) })
  }
  return files
}

/** Relative to where the server is reached: a proxy may put a path before it. */
export function serveWebFiles(app: FastifyInstance, files: ReadonlyMap<string, WebFile>): void {
  for (const [path, { type, etag, bytes, gzipped }] of files) {
    app.get(`/${path}`, ({ headers }, reply) => {
      const isGzip = /\bgzip\b/.test(String(headers['accept-encoding']))
      const tag = `"${etag}${isGzip ? '-gzip' : ''}"`
      reply.headers({ ...HEADERS, 'content-type': type, etag: tag, vary: 'accept-encoding' })
      if (headers['if-none-match'] === tag) return reply.code(304).send()
      return isGzip ? reply.header('content-encoding', 'gzip').send(gzipped) : reply.send(bytes)
    })
  }
}
