/**
 * Keeps the command line as it is now, so that later versions are tested against it: bundled, minified and compressed
 * into test/bundles/protocol-N.js.br, N being the version of the protocol. `npm run build` first, then
 *
 *     node test/bundles/make.mjs
 */
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants } from 'node:zlib'
import { build } from 'esbuild'
import { PROTOCOL_VERSION } from '../../dist/shared/versions.js'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

// As bundle.mjs makes it, but in one file. werift is the engine of the test: the native one stays a package.
const { outputFiles } = await build({
  entryPoints: [here('../../cli.ts')],
  write: false,
  bundle: true,
  minify: true,
  // werift tells classes apart by their names.
  keepNames: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  external: ['node-datachannel', 'classic-level', 'write-file-atomic'],
  banner: {
    js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
  },
  legalComments: 'inline',
  logLevel: 'warning',
})
const [{ contents }] = outputFiles
const file = here(`protocol-${PROTOCOL_VERSION}.js.br`)
const packed = brotliCompressSync(contents, {
  params: { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS },
})
await writeFile(file, packed)
process.stdout.write(`${file}: ${packed.length} bytes\n`)
