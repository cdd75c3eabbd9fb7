/**
 * `npm pack` around the package: `trim` leaves in package.json what those need who install it, since the rest is in the
 * bundles; `restore` brings back what the repository needs. A pack that was interrupted is put right by the next one.
 * `refuse`: npm would publish a folder under the manifest of the repository.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { EXTERNAL } from './external.mjs'

const MANIFEST = 'package.json'
const ORIGINAL = 'dist/package.json.original'
const UNNEEDED = ['scripts', 'devDependencies', 'overrides']

const needed = (packages) => Object.fromEntries(Object.entries(packages).filter(([name]) => EXTERNAL.includes(name)))

function trimmed(manifest) {
  const entries = Object.entries(manifest).filter(([field]) => !UNNEEDED.includes(field))
  const { dependencies, optionalDependencies } = manifest
  return {
    ...Object.fromEntries(entries),
    dependencies: needed(dependencies),
    optionalDependencies: needed(optionalDependencies),
  }
}

/** Whole at any moment: a command that runs reads its version there. */
function replace(file, text) {
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}

function trim() {
  restore()
  const text = readFileSync(MANIFEST, 'utf8')
  replace(ORIGINAL, text)
  replace(MANIFEST, `${JSON.stringify(trimmed(JSON.parse(text)), null, 2)}\n`)
}

function restore() {
  if (!existsSync(ORIGINAL)) return
  replace(MANIFEST, readFileSync(ORIGINAL, 'utf8'))
  rmSync(ORIGINAL)
}

function refuse() {
  process.stderr.write('Publish what `npm pack` makes: npm publish nearport-VERSION.tgz\n')
  process.exitCode = 1
}

const actions = { trim, restore, refuse }
actions[process.argv[2]]()
