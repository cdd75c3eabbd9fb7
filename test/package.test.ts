/**
 * The package as it is installed: packed, put into an empty folder with and without optional packages, and run there.
 * Needs the package registry, or npm's cache of it.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { Child } from '../peer/demo/child.ts'
import { closeTestSignaling, temporaryFolder } from './support/signaling.ts'
import { exchange, readAll, TcpTarget } from './support/tcp.ts'

const MIB = 1024 * 1024
const ROOT = fileURLToPath(new URL('../', import.meta.url))
const NEEDED = ['LICENSE', 'README.md', 'CHANGELOG.md', 'docs', 'dist', 'package.json', 'pack.mjs', 'external.mjs']

const execute = promisify(execFile)
const npm = (cwd: string, ...words: string[]) => execute('npm', words, { cwd, shell: process.platform === 'win32' })

const running: Child[] = []
let stage: string
let tarball: string

beforeAll(async () => {
  // A copy: while it is packed the manifest is another, and other tests read the one of the repository.
  stage = await temporaryFolder()
  for (const name of NEEDED) await cp(join(ROOT, name), join(stage, name), { recursive: true })
  await execute(process.execPath, ['pack.mjs', 'trim'], { cwd: stage })
  const { stdout } = await npm(stage, 'pack', '--json', '--ignore-scripts')
  tarball = join(stage, JSON.parse(stdout)[0].filename)
  await execute(process.execPath, ['pack.mjs', 'restore'], { cwd: stage })
})

afterAll(async () => {
  for (const child of running.reverse()) await child.stop()
  await closeTestSignaling()
})

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
}

async function bytesBelow(folder: string): Promise<number> {
  const sizes = await Promise.all((await filesBelow(folder)).map(async (file) => (await stat(file)).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** An empty folder into which the tarball was installed. */
async function install(...flags: string[]): Promise<string> {
  const prefix = await temporaryFolder()
  await writeFile(join(prefix, 'package.json'), '{"private":true}')
  await npm(prefix, 'install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', ...flags, tarball)
  return prefix
}

/** The installed command in the environment `home`. */
function nearport(prefix: string, home: string, ...words: string[]): Child {
  const script = join(prefix, 'node_modules/nearport/dist/bin/nearport.js')
  const env = { NEARPORT_HOME: join(prefix, home), NEARPORT_LINK: undefined, NEARPORT_ENGINE: undefined }
  const child = new Child(words.join(' '), [script, ...words], { cwd: prefix, env })
  running.push(child)
  return child
}

async function done(child: Child): Promise<string> {
  const { code } = await child.ended
  if (code !== 0) throw new Error(`${child.name} ended with ${code}: ${child.stderr.join('\n')}`)
  return child.stdout.join('\n')
}

/** Its first line, once it is up. */
const up = (child: Child) => child.until('ready', ({ stdout }) => stdout[0])

/** A job through a server, a share and an access that are all of the installation. */
async function printOnce(prefix: string, engine: string): Promise<string> {
  const printer = await TcpTarget.start(async (socket) => {
    socket.end(`printed ${await readAll(socket)}`)
  })
  const signal = nearport(prefix, 'server', 'signal', '--listen', '127.0.0.1:0', '--stun-port', '0')
  const link = (await up(signal)).replace('nearport enable ', '')
  for (const home of ['share', 'access']) await done(nearport(prefix, home, 'enable', link))
  await done(nearport(prefix, 'share', 'reserve', 'private', printer.address, '--unique-name', 'pc1'))
  const share = nearport(prefix, 'share', 'share', 'reserved', 'pc1', '--engine', engine)
  await up(share)
  const access = nearport(
    prefix,
    'access',
    'access',
    'private',
    'pc1',
    '--bind',
    '127.0.0.1:0',
    '--engine',
    engine,
    '--json',
  )
  const [{ bind }] = JSON.parse(await up(access)).binds
  const answer = (await exchange(Number(bind.split(':').at(-1)), 'job')).toString()
  for (const child of [access, share, signal]) expect((await child.stop('SIGTERM')).code).toBe(0)
  await printer.off()
  return answer
}

const packagesIn = async (prefix: string) => {
  const lock = JSON.parse(await readFile(join(prefix, 'node_modules/.package-lock.json'), 'utf8'))
  return Object.keys(lock.packages).map((path) => path.replace(/^.*node_modules\//, ''))
}

describe('the package', () => {
  test('has what runs, what pages load, and the documents in words', async () => {
    const prefix = await temporaryFolder()
    await mkdir(join(prefix, 'unpacked'))
    await execute('tar', ['-xzf', tarball, '-C', join(prefix, 'unpacked')])
    const packed = join(prefix, 'unpacked', 'package')
    const files = (await filesBelow(packed)).map((file) => file.slice(packed.length + 1))
    expect(files).toEqual(
      expect.arrayContaining([
        'LICENSE',
        'README.md',
        'dist/bin/nearport.js',
        'dist/web/browser.js',
        'dist/web/examples/till.html',
        'dist/web/index.html',
        'docs/protocol.md',
      ]),
    )
    expect(
      files.filter((file) => /^dist\/(?!bin|web|shared\/[\w-]+\.d\.ts$)|\.(?:png|tsbuildinfo)$/.test(file)),
    ).toEqual([])
    expect(await bytesBelow(packed)).toBeLessThan(8 * MIB)
  })

  test('names in its manifest only what the bundles load, and the repository keeps its own', async () => {
    const { stdout } = await execute('tar', ['-xzOf', tarball, 'package/package.json'])
    const packed = JSON.parse(stdout)
    const own = JSON.parse(await readFile(join(stage, 'package.json'), 'utf8'))
    expect(own).toEqual(JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')))
    const { scripts, devDependencies, overrides, ...same } = own
    const needed = (({ 'classic-level': level, 'write-file-atomic': write }) => ({
      'classic-level': level,
      'write-file-atomic': write,
    }))(own.dependencies)
    expect(packed).toEqual({ ...same, dependencies: needed })
    expect(scripts).toMatchObject({
      prepack: 'npm run build && node pack.mjs trim',
      postpack: 'node pack.mjs restore',
      prepublishOnly: 'node pack.mjs refuse',
    })
    // Its inside is adapted.
    expect(own.dependencies.werift).toMatch(/^\d+\.\d+\.\d+$/)
  })

  test('is put right by the next pack where one was interrupted', async () => {
    const own = await readFile(join(stage, 'package.json'), 'utf8')
    for (const _ of ['interrupted', 'again']) await execute(process.execPath, ['pack.mjs', 'trim'], { cwd: stage })
    await execute(process.execPath, ['pack.mjs', 'restore'], { cwd: stage })
    expect(await readFile(join(stage, 'package.json'), 'utf8')).toBe(own)
  })
})

describe('an installation', () => {
  let full: string
  beforeAll(async () => {
    full = await install()
  })

  test('is small', async () => {
    expect((await packagesIn(full)).length).toBeLessThan(25)
    expect(await bytesBelow(join(full, 'node_modules'))).toBeLessThan(30 * MIB)
  })

  test('prints, over native where its package is', async () => {
    expect(await done(nearport(full, 'share', 'version'))).toMatch(/^nearport \d/)
    expect(await printOnce(full, 'native')).toBe('printed job')
  })

  test('without optional packages prints over werift', async () => {
    const prefix = await install('--omit=optional')
    expect(await packagesIn(prefix)).not.toContain('node-datachannel')
    expect(await printOnce(prefix, 'auto')).toBe('printed job')
    const { code } = await nearport(prefix, 'share', 'share', 'private', '127.0.0.1:9', '--engine', 'native').ended
    expect(code).toBe(2)
  })

  test('gives bundlers nearport/browser, and its types to TypeScript', async () => {
    const page = join(full, 'page.ts')
    const text = `import { connect, type NearportError } from 'nearport/browser'
      export async function print(file: File): Promise<NearportError | null> {
        const network = await connect()
        const { writable } = await network.open('pc1')
        await file.stream().pipeTo(writable)
        return null
      }
      // @ts-expect-error: the types are there
      connect(1, 2, 3, 4)`
    await writeFile(page, text)
    const flags = ['--noEmit', '--strict', '--module', 'esnext', '--moduleResolution', 'bundler', '--target', 'es2023']
    await execute(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), ...flags, page], { cwd: full })
    const bundled = await build({ entryPoints: [page], bundle: true, format: 'esm', write: false, absWorkingDir: full })
    expect(bundled.outputFiles[0]?.text.length).toBeGreaterThan(100_000)
  })
})
