/** What a web page in real Chromium knows of its network, and what happens to it when things are not there. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import type { Browser, BrowserContext } from 'playwright-core'
import { describeChromium, launchChromium, openPage, openPeer } from './support/browser.ts'
import { hashAll, readSome, sha256, TcpTarget } from './support/tcp.ts'
import { type Network, startNetwork } from './support/tunnel.ts'

const MIB = 1024 * 1024
const OTHER_HOST = 'nearport.test'
const BUNDLE = readFileSync(new URL('../dist/web/browser.js', import.meta.url))

describeChromium('a page in Chromium (package chromium)', () => {
  let browser: Browser
  let context: BrowserContext
  let network: Network
  let printer: TcpTarget

  beforeAll(async () => {
    browser = await launchChromium([OTHER_HOST])
    context = await browser.newContext()
    network = await startNetwork()
    printer = await TcpTarget.start((socket) => socket.pipe(socket))
    await network.share({ pc1: printer.address })
    await network.succeed('share', ['reserve', 'private', printer.address, '--unique-name', 'off'])
  })

  afterEach(async () => {
    for (const page of context.pages()) await page.close()
  })

  afterAll(async () => {
    await browser?.close()
    await network?.stop()
    await printer?.off()
  })

  /** What connect() in a page of `url` rejects with. */
  async function refusal(url: string, invite: string) {
    const page = await openPage(context, url)
    return page.evaluate(async (link) => {
      const error = await nearport.connect({ invite: link }).then(
        () => null,
        (reason) => reason,
      )
      return [error instanceof nearport.NearportError, error?.code, error?.next !== '']
    }, invite)
  }

  test('is told what is wrong with its link, and by whom it is refused', async () => {
    const { url } = network
    expect(await refusal(url, url)).toEqual([true, 'link-invalid', true])
    expect(await refusal(url, `${url}#${'A'.repeat(43)}`)).toEqual([true, 'admission-refused', true])
    const nowhere = `http://127.0.0.1:9/#${network.key}`
    expect(await refusal(url, nowhere)).toEqual([true, 'server-unreachable', true])
  })

  test('over plain HTTP from another host is told that it gets no cryptography', async () => {
    const url = network.url.replace('127.0.0.1', OTHER_HOST)
    expect(await refusal(url, `${url}#${network.key}`)).toEqual([true, 'insecure-context', true])
  })

  test('where the browser has no Ed25519 is told so', async () => {
    const old = await browser.newContext()
    const page = await openPage(old, network.url)
    const code = await page.evaluate(async (invite) => {
      const generate = crypto.subtle.generateKey.bind(crypto.subtle)
      crypto.subtle.generateKey = ((...args: Parameters<typeof generate>) =>
        args[0] === 'Ed25519' ? Promise.reject(new DOMException('', 'NotSupportedError')) : generate(...args)) as never
      return nearport.connect({ invite }).catch((error) => error.code)
    }, network.link)
    expect(code).toBe('browser-unsupported')
    await old.close()
  })

  test('takes the link from its own address, and gives up when it is told to', async () => {
    const page = await openPage(context, network.url)
    await page.evaluate((key) => {
      location.hash = key
    }, network.key)
    const outcome = await page.evaluate(async () => {
      const own = await nearport.connect()
      const given = await nearport.connect({ signal: AbortSignal.abort('enough') }).catch((reason) => reason)
      const controller = new AbortController()
      const opening = own.open('pc1', { signal: controller.signal }).catch((reason) => reason)
      controller.abort('too late')
      return [own.connected, given, await opening]
    })
    expect(outcome).toEqual([true, 'enough', 'too late'])
  })

  test('is the same environment in every tab and after each load, and its key cannot be read', async () => {
    const fresh = await browser.newContext()
    const pages = await Promise.all([openPage(fresh, network.url), openPage(fresh, network.url)])
    const joined = await Promise.all(
      pages.map((page) =>
        page.evaluate(async (invite) => {
          globalThis.net = await nearport.connect({ invite })
          return { peer: net.peer, identity: net.identity }
        }, network.link),
      ),
    )
    const later = await openPeer(fresh, network.link)
    joined.push(await later.evaluate(() => ({ peer: net.peer, identity: net.identity })))
    expect(new Set(joined.map(({ identity }) => identity)).size).toBe(1)
    expect(new Set(joined.map(({ peer }) => peer)).size).toBe(3)
    const extractable = await later.evaluate(async () => {
      const opening = indexedDB.open('nearport')
      await new Promise((resolve) => opening.addEventListener('success', resolve))
      const getting = opening.result.transaction('keys').objectStore('keys').get('identity')
      await new Promise((resolve) => getting.addEventListener('success', resolve))
      return getting.result.privateKey.extractable
    })
    expect(extractable).toBe(false)
    await fresh.close()
  })

  test('sees all shares and peers, and what changes', async () => {
    const page = await openPeer(context, network.link)
    await page.evaluate(() => {
      net.shares()
      net.peers()
    })
    await page.waitForFunction(() => net.shares().current.length === 2 && net.peers().current.length === 2)
    const { shares, peers, me } = await page.evaluate(() => {
      return { shares: net.shares().current, peers: net.peers().current, me: net.peer }
    })
    expect(shares.map(({ name, state, reserved }) => [name, state, reserved])).toEqual([
      ['off', 'offline', true],
      ['pc1', 'online', true],
    ])
    expect(peers.find(({ peer }) => peer === me)?.serves).toEqual([])
    const server = peers.find(({ peer }) => peer === shares[1]?.peer)
    expect(server?.serves).toEqual(['pc1'])
    expect(server?.identity).toBe(shares[1]?.owner)
    const second = await network.share({ tmp: printer.address }, { home: 'access', ephemeral: true })
    await page.waitForFunction(() => net.shares().current.some(({ name, reserved }) => name === 'tmp' && !reserved))
    await second.stop()
    await page.waitForFunction(() => net.shares().current.length === 2 && net.peers().current.length === 2)
  })

  test('is told of a name that nobody serves, that nobody has, and that is none', async () => {
    const page = await openPeer(context, network.link)
    const codes = await page.evaluate(() =>
      Promise.all(['off', 'nobody', 'PC 1'].map((name) => net.open(name).catch((error) => error.code))),
    )
    expect(codes).toEqual(['name-offline', 'name-unknown', 'name-malformed'])
  })

  test('after it has left opens nothing, and what was open is reset', async () => {
    const page = await openPeer(context, network.link)
    const codes = await page.evaluate(async () => {
      const connection = await net.open('pc1')
      const writer = connection.writable.getWriter()
      await writer.write(new Uint8Array(1))
      await connection.readable.getReader().read()
      await net.close()
      const again = await net.open('pc1').catch((error) => error.code)
      return [(await connection.closed)?.code, again, net.connected]
    })
    expect(codes).toEqual(['shutting-down', 'shutting-down', false])
  })

  test('of another origin works as well', async () => {
    const http = createServer((request, response) => {
      const isScript = request.url === '/browser.js'
      response
        .setHeader('content-type', isScript ? 'text/javascript' : 'text/plain')
        .end(isScript ? BUNDLE : 'elsewhere')
    })
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const page = await openPage(context, `http://127.0.0.1:${(http.address() as AddressInfo).port}/`)
    const text = await page.evaluate(async (invite) => {
      const elsewhere = await nearport.connect({ invite })
      const connection = await elsewhere.open('pc1')
      const writer = connection.writable.getWriter()
      await Promise.all([writer.write(new TextEncoder().encode('receipt')), writer.close()])
      return new Response(connection.readable).text()
    }, network.link)
    expect(text).toBe('receipt')
    http.closeAllConnections()
    http.close()
  })

  test('goes on printing while the server is killed, says that it is away, and finds it again', async () => {
    const page = await openPeer(context, network.link)
    const arrived = printer.next()
    await page.evaluate(async (bytes) => {
      globalThis.job = await net.open('pc1')
      const sent = new Uint8Array(bytes).map((_, at) => at % 251)
      Object.assign(globalThis, { printing: new Blob([sent]).stream().pipeTo(job.writable) })
    }, 20 * MIB)
    const socket = await arrived
    const begun = await readSome(socket, MIB)
    await network.signaling.stop('SIGKILL')
    await page.waitForFunction(() => !net.state().current)
    const rest = hashAll(socket)
    socket.unshift(begun)
    socket.resume()
    expect(await rest).toBe(sha256(new Uint8Array(20 * MIB).map((_, at) => at % 251)))
    socket.end()
    await page.evaluate(() => (globalThis as unknown as { printing: Promise<void> }).printing)
    expect(await page.evaluate(() => job.closed)).toBeNull()
    // A name that is open needs no server; another one does.
    const [next, other] = await page.evaluate(async () => {
      const connection = await net.open('pc1')
      const writer = connection.writable.getWriter()
      await Promise.all([writer.write(new TextEncoder().encode('next')), writer.close()])
      return [await new Response(connection.readable).text(), await net.open('off').catch((error) => error.code)]
    })
    expect([next, other]).toEqual(['next', 'server-unreachable'])

    await network.startSignaling()
    await page.waitForFunction(() => net.state().current)
    await page.evaluate(() => net.shares())
    await page.waitForFunction(() =>
      net.shares().current.some(({ name, state }) => name === 'pc1' && state === 'online'),
    )
    expect(await page.evaluate(() => net.open('off').catch((error) => error.code))).toBe('name-offline')
  })
})
