/** What the signaling server serves to browsers, and how. */
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:https'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from '@jest/globals'
import { readWebFiles } from '../signaling/web-files.ts'
import { closeTestSignaling, startTestSignaling, temporaryFolder } from './support/signaling.ts'
import { repositoryFile } from './support/sources.ts'
import { testCertificate } from './support/tls.ts'

const BUILT = fileURLToPath(new URL('../dist/web/', import.meta.url))
const KIB = 1024

afterEach(closeTestSignaling)

describe('the files for browsers', () => {
  test('are those of the build, under a policy that lets a page reach this server and nothing else', async () => {
    const { url } = await startTestSignaling({ webDir: BUILT })
    for (const [path, type] of [
      ['browser.js', 'text/javascript; charset=utf-8'],
      ['examples/till.html', 'text/html; charset=utf-8'],
    ]) {
      const answer = await fetch(new URL(path ?? '', url))
      expect(answer.status).toBe(200)
      expect(answer.headers.get('content-type')).toBe(type)
      const policy = answer.headers.get('content-security-policy')
      expect(policy).toContain("default-src 'none'; script-src 'self'; connect-src 'self';")
      expect(policy).not.toContain('unsafe')
      expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
      expect(Buffer.from(await answer.arrayBuffer())).toEqual(await readFile(`${BUILT}${path}`))
    }
  })

  test('are asked for anew, and sent again only when they are others', async () => {
    const { url } = await startTestSignaling({ webDir: BUILT })
    for (const encoding of ['gzip', 'identity']) {
      const headers = { 'accept-encoding': encoding }
      const first = await fetch(new URL('browser.js', url), { headers })
      expect(first.headers.get('cache-control')).toBe('no-cache')
      expect(first.headers.get('content-encoding')).toBe(encoding === 'gzip' ? 'gzip' : null)
      const etag = first.headers.get('etag') ?? ''
      const second = await fetch(new URL('browser.js', url), { headers: { ...headers, 'if-none-match': etag } })
      expect([second.status, await second.text()]).toEqual([304, ''])
      const other = await fetch(new URL('browser.js', url), { headers: { ...headers, 'if-none-match': '"x"' } })
      expect(other.status).toBe(200)
    }
  })

  test('are nothing else that lies in the folder or outside of it', async () => {
    const { url } = await startTestSignaling({ webDir: BUILT })
    for (const path of [
      'browser/index.d.ts',
      '..%2fbin/nearport.js',
      '%2e%2e/bin/nearport.js',
      'examples',
      'constructor',
    ]) {
      expect((await fetch(new URL(path, url))).status).toBe(404)
    }
  })

  test('of a folder are its index.html', async () => {
    const folder = await temporaryFolder()
    await mkdir(`${folder}/inner`)
    await writeFile(`${folder}/index.html`, 'outer')
    await writeFile(`${folder}/inner/index.html`, 'inner')
    await writeFile(`${folder}/secret.pem`, 'no type')
    const { url } = await startTestSignaling({ webDir: folder })
    expect(await (await fetch(url)).text()).toBe('outer')
    expect(await (await fetch(new URL('inner/', url))).text()).toBe('inner')
    expect([...(await readWebFiles(folder)).keys()].sort()).toEqual(['', 'inner/'])
  })
})

describe('the library for pages', () => {
  test('is as small as the README says, and under 66 KiB', async () => {
    const size = gzipSync(await readFile(`${BUILT}browser.js`), { level: 9 }).length
    const [, stated = ''] = /\((\d+) KiB gzipped\)/.exec(repositoryFile('README.md')) ?? []
    expect(size).toBeLessThan(66 * KIB)
    expect(Math.ceil(size / KIB)).toBeLessThanOrEqual(Number(stated))
    expect(size).toBeGreaterThan((Number(stated) - 3) * KIB)
  })
})

test('over TLS, browsers are told to come by TLS for a year, whatever they ask for', async () => {
  const tls = await testCertificate()
  const { url } = await startTestSignaling({ tls })
  for (const path of ['healthz', 'nothing-here']) {
    const request = get(new URL(path, url), { ca: tls.cert, checkServerIdentity: () => undefined })
    const [answer] = (await once(request, 'response')) as [IncomingMessage]
    expect(answer.headers['strict-transport-security']).toBe('max-age=31536000')
    answer.destroy()
  }
  const plain = await startTestSignaling()
  expect((await fetch(new URL('healthz', plain.url))).headers.get('strict-transport-security')).toBeNull()
})
