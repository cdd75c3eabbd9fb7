/** Puts what browsers load into dist/web/: one file for each entry, and the pages beside them. */
import { copyFile, cp, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const out = (path) => here(`../dist/web/${path}`)

await build({
  entryPoints: { browser: here('browser/index.ts'), console: here('console/main.tsx') },
  outdir: out(''),
  bundle: true,
  format: 'esm',
  target: 'es2023',
  minify: true,
  sourcemap: true,
  legalComments: 'linked',
  // As a module it would want Node's `buffer` and `events`; this build of its own has what it needs of them.
  alias: { 'simple-peer': 'simple-peer/simplepeer.min.js' },
})
await copyFile(here('console/index.html'), out('index.html'))
await copyFile(here('console/style.css'), out('console.css'))
await copyFile(here('console/console.svg'), out('console.svg'))
for (const folder of ['examples']) {
  await rm(out(folder), { recursive: true, force: true })
  await cp(here(folder), out(folder), { recursive: true })
}
