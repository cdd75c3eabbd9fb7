/** What an environment keeps of the owners of names: on a disk that runs full, by processes that are killed, and at once. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdir, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Config } from '../peer/config.ts'
import { OwnerFiles } from '../peer/owner-files.ts'
import { randomBytes } from '../shared/crypto.ts'
import { identityFingerprint, parseFingerprint, toBase32 } from '../shared/fingerprint.ts'
import { parseInvite } from '../shared/invite.ts'
import { KnownOwners, networkName } from '../shared/known-owners.ts'
import { silentLog } from './support/links.ts'
import { describeAsRoot } from './support/root.ts'
import { closeTestSignaling, collectingLog, newIdentity, temporaryFolder } from './support/signaling.ts'

const networkKey = randomBytes(32)
const [anna, berta] = [(await newIdentity()).publicKey, (await newIdentity()).publicKey]
let folder: string
let files: OwnerFiles
let owners: KnownOwners

beforeEach(async () => {
  folder = await temporaryFolder()
  files = await OwnerFiles.of(folder, networkKey)
  owners = new KnownOwners(files, silentLog)
})
afterEach(closeTestSignaling)

const fileOf = async (name: string) => join(folder, 'owners', await networkName(networkKey), `${name}.json`)

describe('a fingerprint', () => {
  test('is the beginning of a public key, in characters that cannot be mixed up', () => {
    // RFC 4648 section 10 has these bytes in its own alphabet: "foobar" is MZXW6YTBOI.
    expect(toBase32(Buffer.from('foobar'))).toBe('csqpyrk1e8')
    const zeros = Buffer.alloc(32).toString('base64url')
    expect(identityFingerprint(zeros)).toBe('0000-0000-0000-0000')
    expect(identityFingerprint(Buffer.alloc(32, 255))).toBe('zzzz-zzzz-zzzz-zzzz')
    expect(identityFingerprint(anna)).not.toBe(identityFingerprint(berta))
  })

  test('is read however it was written down, and nothing else is', () => {
    const fingerprint = identityFingerprint(anna)
    expect(parseFingerprint(fingerprint.toUpperCase().replaceAll('-', ''))).toBe(fingerprint)
    expect(parseFingerprint('oil0-0000-0000-0000')).toBe('0110-0000-0000-0000')
    for (const text of ['', fingerprint.slice(0, 9), `${fingerprint}0`, 'u000-0000-0000-0000', anna]) {
      expect(() => parseFingerprint(text)).toThrow(expect.objectContaining({ code: 'usage' }))
    }
  })
})

test('the first owner of a name is remembered, and another refused, also by the next process', async () => {
  await owners.check('pc1', anna)
  expect(await files.get('pc1')).toBeNull()
  await owners.remember('pc1', anna)
  const next = new KnownOwners(await OwnerFiles.of(folder, networkKey), silentLog)
  await next.check('pc1', anna)
  const refused = { code: 'owner-changed', exitStatus: 2 }
  await expect(next.check('pc1', berta)).rejects.toMatchObject(refused)
  await expect(next.remember('pc1', berta)).rejects.toMatchObject(refused)
  await expect(next.check('pc1', berta)).rejects.toThrow(identityFingerprint(anna))
  await expect(next.check('pc1', berta)).rejects.toThrow(identityFingerprint(berta))
  await next.remember('pc2', berta)
  await files.replace('pc1', berta)
  await next.check('pc1', berta)
  expect(Object.fromEntries(await files.entries())).toEqual({ pc1: berta, pc2: berta })
  expect((await stat(await fileOf('pc1'))).mode & 0o777).toBe(0o600)
  expect((await stat(join(folder, 'owners'))).mode & 0o777).toBe(0o700)
})

test('of many processes that meet an owner at once one decides, and what they meet apart is all kept', async () => {
  const stores = await Promise.all(Array.from({ length: 20 }, () => OwnerFiles.of(folder, networkKey)))
  const met = await Promise.all(stores.map((store, at) => store.keep('pc1', at % 2 === 0 ? anna : berta)))
  expect(new Set(met).size).toBe(1)
  await Promise.all(stores.map((store, at) => store.keep(`other-${at}`, anna)))
  expect((await files.entries()).size).toBe(21)
  const rest = await readdir(join(folder, 'owners', await networkName(networkKey)))
  expect(rest.filter((file) => !/^(pc1|other-\d+)\.json$/.test(file))).toEqual([])
})

test('owners are those of a network, and stay when the environment leaves it', async () => {
  await owners.remember('pc1', anna)
  const other = await OwnerFiles.of(folder, randomBytes(32))
  expect(await other.get('pc1')).toBeNull()
  const config = new Config(folder, {})
  const key = Buffer.from(networkKey).toString('base64url')
  await config.enable(parseInvite(`http://127.0.0.1:7070/#${key}`))
  await config.disable()
  // Another server, the same network.
  await config.enable(parseInvite(`https://elsewhere.example/#${key}`))
  const again = await OwnerFiles.of(folder, (await config.invite()).networkKey)
  expect(await again.get('pc1')).toBe(anna)
})

test.each([
  ['is cut', (text: string) => text.slice(0, 20)],
  ['is empty', () => ''],
  ['names no identity', (text: string) => text.replace(anna, 'me')],
  ['has more in it', (text: string) => text.replace('{', '{"more":1,')],
])('a file that %s is refused, and not taken for none', async (_what, spoil) => {
  await owners.remember('pc1', anna)
  await owners.remember('pc2', anna)
  const file = await fileOf('pc1')
  await writeFile(file, spoil(await readFile(file, 'utf8')))
  const refused = {
    code: 'config-invalid',
    message: expect.stringContaining(file),
    next: expect.stringMatching('trust pc1'),
  }
  for (const who of [anna, berta]) {
    await expect(owners.check('pc1', who)).rejects.toMatchObject(refused)
    await expect(owners.remember('pc1', who)).rejects.toMatchObject(refused)
  }
  await owners.check('pc2', anna)
})

test('a file that cannot be read is not taken for none', async () => {
  await owners.remember('pc1', anna)
  const file = await fileOf('pc1')
  await rm(file)
  // Reading a folder fails whoever reads it, root too.
  await mkdir(file)
  await expect(owners.check('pc1', anna)).rejects.toMatchObject({ code: 'config-failed' })
  await expect(owners.remember('pc1', anna)).rejects.toMatchObject({ code: 'config-failed' })
})

test('a process killed in the middle of writing loses nothing that it has reported', async () => {
  const program = fileURLToPath(new URL('../dist/peer/owner-files.js', import.meta.url))
  const script = `
    import { OwnerFiles } from ${JSON.stringify(program)}
    const files = await OwnerFiles.of(${JSON.stringify(folder)}, Uint8Array.from(${JSON.stringify([...networkKey])}))
    for (let at = 0; ; at++) {
      await files.keep('once-' + at, ${JSON.stringify(anna)})
      await files.replace('again', at % 2 === 0 ? ${JSON.stringify(anna)} : ${JSON.stringify(berta)})
      console.log(at)
    }`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  let reported = -1
  for await (const line of createInterface({ input: child.stdout })) {
    reported = Number(line)
    if (reported === 25) child.kill('SIGKILL')
  }
  expect(reported).toBeGreaterThanOrEqual(25)
  const kept = await files.entries()
  for (let at = 0; at <= reported; at++) expect(kept.get(`once-${at}`)).toBe(anna)
  expect([anna, berta]).toContain(kept.get('again'))
})

describeAsRoot('on a disk of its own', () => {
  beforeEach(() => execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]))
  afterEach(() => execFileSync('umount', ['--lazy', folder]))

  test('that is full an owner is held in memory and the error told; what was kept is kept', async () => {
    const log = collectingLog()
    owners = new KnownOwners(files, log)
    await owners.remember('pc1', anna)
    const { bavail, bsize } = await statfs(folder)
    const filler = join(folder, 'filler')
    await writeFile(filler, Buffer.alloc(bavail * bsize))
    await owners.remember('pc2', anna)
    await owners.remember('pc2', anna)
    expect(log.entries).toMatchObject([{ level: 'error', fields: { name: 'pc2', code: 'config-failed' } }])
    expect(await files.get('pc2')).toBeNull()
    await expect(owners.check('pc2', berta)).rejects.toMatchObject({ code: 'owner-changed' })
    await expect(owners.check('pc1', berta)).rejects.toMatchObject({ code: 'owner-changed' })
    await expect(files.replace('pc1', berta)).rejects.toMatchObject({ code: 'config-failed' })
    expect(await files.get('pc1')).toBe(anna)
    await rm(filler)
    await owners.keepAgain('pc2')
    expect(await files.get('pc2')).toBe(anna)
  })
})
