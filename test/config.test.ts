import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Config, configFolder } from '../peer/config.ts'
import { parseInvite } from '../shared/invite.ts'

const LINK = `http://127.0.0.1:7070/#${Buffer.alloc(32, 7).toString('base64url')}`
let folder: string
let config: Config

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nearport-config-'))
  config = new Config(folder, {})
})
afterEach(() => rm(folder, { recursive: true, force: true }))

test('NEARPORT_HOME moves the folder', () => {
  expect(configFolder({ NEARPORT_HOME: '/x' })).toBe('/x')
  expect(configFolder({})).toMatch(/nearport/)
})

test('a folder that is not enabled says so; NEARPORT_LINK serves instead', async () => {
  await expect(config.invite()).rejects.toMatchObject({ code: 'not-enabled' })
  expect((await new Config(folder, { NEARPORT_LINK: LINK }).invite()).url).toBe('http://127.0.0.1:7070/')
})

test('what is stored is for this user only, whole, and survives', async () => {
  await config.enable(parseInvite(LINK))
  const identity = await config.identity()
  const share = { target: '192.168.1.185:9100', maxConnections: 1, healthInterval: 0 }
  await config.saveShare('pc1', share)
  const again = new Config(folder, {})
  expect(await again.invite()).toEqual(parseInvite(LINK))
  expect((await again.identity()).publicKey).toBe(identity.publicKey)
  expect(await again.shares()).toEqual(new Map([['pc1', share]]))
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  expect(files.map(({ name }) => name).sort()).toEqual(['environment.json', 'identity.json', 'pc1.json'])
  for (const { name, parentPath } of files) expect((await stat(join(parentPath, name))).mode & 0o777).toBe(0o600)
})

test('an enabled folder is not overwritten, also not by the same link', async () => {
  await config.enable(parseInvite(LINK))
  await expect(config.enable(parseInvite(LINK))).rejects.toMatchObject({ code: 'already-enabled' })
})

test('disable forgets the link and the targets, and keeps the identity that owns the reservations', async () => {
  await config.enable(parseInvite(LINK))
  const { publicKey } = await config.identity()
  await config.saveShare('pc1', { target: 'x:1', maxConnections: null })
  expect(await config.disable()).toBe(true)
  expect(await config.disable()).toBe(false)
  await expect(config.invite()).rejects.toMatchObject({ code: 'not-enabled' })
  expect(await config.shares()).toEqual(new Map())
  expect((await config.identity()).publicKey).toBe(publicKey)
})

test('many shares saved at the same time are all there', async () => {
  const names = Array.from({ length: 50 }, (_, index) => `pc-${index}`)
  await Promise.all(names.map((name) => config.saveShare(name, { target: `${name}:9100`, maxConnections: null })))
  expect([...(await config.shares()).keys()].sort()).toEqual(names.sort())
})

test.each([
  ['no JSON', '{"version":1,'],
  ['another version', '{"version":2,"link":"x"}'],
  ['a field too many', `{"version":1,"link":${JSON.stringify(LINK)},"more":1}`],
  ['a link that is none', '{"version":1,"link":"http://127.0.0.1/#secret-key-text"}'],
])('a file with %s is named, and its content is not', async (_what, text) => {
  await writeFile(join(folder, 'environment.json'), text)
  const error = await config.invite().catch((thrown: unknown) => thrown as Error)
  expect(error).toMatchObject({ code: 'config-invalid', message: expect.stringContaining('environment.json') })
  expect(String(error)).not.toContain('secret-key-text')
  expect(await readFile(join(folder, 'environment.json'), 'utf8')).toBe(text)
})

test('processes that make the identity at the same time get the same one', async () => {
  const made = await Promise.all(Array.from({ length: 10 }, () => new Config(folder, {}).identity()))
  expect(new Set(made.map(({ publicKey }) => publicKey)).size).toBe(1)
  expect(await readdir(folder)).toEqual(['identity.json'])
})

test('an identity that is no key is named and kept', async () => {
  await writeFile(join(folder, 'identity.json'), '{"version":1,"privateKey":"AAAA"}')
  await expect(config.identity()).rejects.toMatchObject({ code: 'config-invalid' })
  expect(await readFile(join(folder, 'identity.json'), 'utf8')).toContain('AAAA')
})

test('a share from before there were health intervals is read', async () => {
  await config.saveShare('pc1', { target: 'x:1', maxConnections: null, healthInterval: undefined })
  const file = join(folder, 'shares', 'pc1.json')
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ version: 1, target: 'x:1', maxConnections: null })
  expect((await config.share('pc1')).healthInterval).toBeUndefined()
})

test('a share that is not reserved here says so', async () => {
  await expect(config.share('pc9')).rejects.toMatchObject({ code: 'not-reserved-here' })
})

test('a folder that cannot be written is named', async () => {
  await writeFile(join(folder, 'file'), '')
  const below = new Config(join(folder, 'file', 'home'), {})
  await expect(below.saveShare('pc1', { target: 'x:1', maxConnections: null })).rejects.toMatchObject({
    code: 'config-failed',
    message: expect.stringContaining('pc1.json'),
  })
})
