/** The console in a real browser, with a real server, share peers of both engines, and printers that are TCP servers. */
import type { Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import axe from 'axe-core'
import type { Browser } from 'playwright-core'
import { ConsolePage, hasChromium, INSECURE_HOST, launchChromium } from './support/console.ts'
import { ending, hashAll, readAll, readSome, TcpTarget } from './support/tcp.ts'
import { ENGINES, type Network, type Peer, startNetwork } from './support/tunnel.ts'

const MIB = 1024 * 1024
/** What a stalled connection may hold at most on the way: as in stalled.test.ts. */
const ON_THE_WAY = 32 * MIB
const CUT = Buffer.from([0x1d, 0x56, 66, 0])

const withChromium = hasChromium ? describe : describe.skip

withChromium('the console', () => {
  let browser: Browser
  let network: Network
  let page: ConsolePage
  /** By name; each answers a job with its hash. */
  const printers: Record<string, TcpTarget> = {}
  const shares: Record<string, Peer> = {}
  const homes: Readonly<Record<string, string>> = { kitchen: 'share', office: 'access' }

  const printer = (name: string): TcpTarget => {
    const found = printers[name]
    if (found === undefined) throw new Error(`there is no printer ${name}`)
    return found
  }

  const hashing = async (socket: Socket): Promise<void> => {
    const hash = await hashAll(socket).catch(() => null)
    if (hash !== null) socket.end(`hash ${hash}\r\n`)
  }

  const share = async (name: string): Promise<void> => {
    const [werift = 'werift', native = werift] = ENGINES
    const engine = name === 'kitchen' ? werift : native
    // Jobs tell how their printer is; a look of the share's own would be one connection more at it.
    const options = { engine, home: homes[name] ?? 'share', healthInterval: 3600 }
    shares[name] = await network.share({ [name]: printer(name).address }, options)
  }

  /** The printer's end of a connection, which reads nothing before the test does. */
  const taken = (name: string): Promise<Socket> => printer(name).next()

  beforeAll(async () => {
    if (!hasChromium) return
    browser = await launchChromium()
    network = await startNetwork()
    for (const name of Object.keys(homes)) printers[name] = await TcpTarget.start(hashing)
    for (const name of Object.keys(homes)) await share(name)
  })

  beforeEach(async () => {
    page = await ConsolePage.open(browser, network.link)
  })

  afterEach(async () => {
    await page.close()
    expect(page.faults).toEqual([])
    for (const each of Object.values(printers)) await each.on()
  })

  afterAll(async () => {
    await browser?.close()
    await network?.stop()
    for (const each of Object.values(printers)) await each.off()
  })

  /** Axe's serious and critical findings, a line each. */
  async function faultsOfAccess(): Promise<string[]> {
    await page.page.evaluate(axe.source)
    const { violations } = await page.page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run())
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
  }

  test('prints a dropped file on one printer and a receipt on the other, byte for byte, and shows the answers', async () => {
    const receipt = taken('office').then(async (socket) => {
      const job = await readAll(socket)
      socket.end(Buffer.from([0x12, 0x0a]))
      return job
    })
    const hash = await page.drop('kitchen', 'menu.pdf', 20 * MIB)
    await page.type('office', 'Café\nTotal 2 €', 'receipt')
    expect(await receipt).toEqual(Buffer.concat([Buffer.from('\x1b@\x1bt\x10Caf\xe9\nTotal 2 \x80\n', 'latin1'), CUT]))
    await page.reached('office', 'done')
    expect(await page.slip('office').locator('.hex').textContent()).toBe('12')
    await page.reached('kitchen', 'done')
    expect(await page.slip('kitchen').locator('pre').textContent()).toContain(`hash ${hash}`)
    expect(
      await page
        .slip('kitchen')
        .locator('progress')
        .evaluate((bar: HTMLProgressElement) => bar.value),
    ).toBe(20 * MIB)
  })

  test('shows who is connected, the path to a printer, and what its share says of it and of its links', async () => {
    await page.type('kitchen', 'x', 'plain')
    await page.reached('kitchen', 'done')
    await page
      .tile('kitchen')
      .locator('.path dd', { hasText: /round trip/ })
      .waitFor()
    const peers = page.page.locator('.peer')
    await peers.filter({ has: page.page.locator('.tag', { hasText: 'this page' }) }).waitFor()
    await peers.filter({ hasText: 'serves kitchen' }).waitFor()
    await peers.filter({ hasText: 'serves office' }).waitFor()
    await page.condition('kitchen', /Ready/)
    const link = peers.filter({ hasText: 'serves kitchen' }).locator('.links li', { hasText: 'this page' })
    await link.filter({ hasText: /same network · .*round trip · 0 connections · [1-9]/ }).waitFor()
  })

  test('prints by keyboard alone', async () => {
    const { keyboard } = page.page
    await page.tile('office').locator('summary').first().waitFor()
    const focused = () =>
      page.page.evaluate(() => document.activeElement?.closest('[data-share="office"] .print details') !== null)
    while (!(await focused())) await keyboard.press('Tab')
    await keyboard.press('Enter')
    await keyboard.press('Tab')
    await keyboard.type('typed')
    await keyboard.press('Tab')
    await keyboard.press('Tab')
    const job = taken('office').then(readAll)
    await keyboard.press('Enter')
    expect((await job).toString()).toBe('typed')
  })

  test('a cancelled job resets the connection of its printer', async () => {
    const arrived = taken('office')
    await page.drop('office', 'long.bin', 64 * MIB)
    const socket = await arrived
    await readSome(socket, MIB)
    const ended = ending(socket)
    const lines = shares.office?.log.length
    await page.slip('office').getByRole('button', { name: 'Cancel: long.bin' }).click()
    await page.reached('office', 'cancelled')
    expect(await shares.office?.resetLogged('office', lines)).toMatchObject({ by: 'far', code: 'peer-reset' })
    await ended
    // Node 20 may say "end" of a reset while bytes were unread; a write tells, which after a half-close would succeed.
    expect(await new Promise((resolve) => socket.write('?', resolve))).toBeTruthy()
  })

  test('a printer that stalls keeps its own tile, and nothing else', async () => {
    const arrived = taken('kitchen')
    await page.drop('kitchen', 'long.bin', 64 * MIB)
    const socket = await arrived
    await readSome(socket, MIB)
    let accepted: number
    do {
      accepted = await page.accepted('kitchen')
      const hash = await page.drop('office', 'other.bin', 8 * MIB)
      await page.tile('office').getByText(`hash ${hash}`).waitFor()
    } while ((await page.accepted('kitchen')) !== accepted)
    expect(accepted).toBeGreaterThanOrEqual(MIB)
    expect(accepted).toBeLessThan(ON_THE_WAY)
    await page
      .slip('kitchen')
      .getByText(/takes nothing more just now/)
      .waitFor()
    const rest = hashAll(socket)
    socket.resume()
    await page.reached('kitchen', 'answering')
    await rest
    socket.end()
    await page.reached('kitchen', 'done')
  })

  test('a job goes on while the signaling server is away, and the page finds the server again', async () => {
    const arrived = taken('kitchen')
    const hash = await page.drop('kitchen', 'long.bin', 32 * MIB)
    const socket = await arrived
    const taking = hashAll(socket)
    socket.pause()
    await network.signaling.stop('SIGKILL')
    await page.page.locator('.away').waitFor()
    socket.resume()
    expect(await taking).toBe(hash)
    socket.end('out')
    await page.reached('kitchen', 'done')
    await page.page.locator('.away').waitFor()
    await network.startSignaling()
    await page.text('Signaling connected')
    // The shares find it again each in its own time.
    for (const name of Object.keys(homes)) await page.condition(name, /^(Online|Ready)$/)
  })

  test('a printer that is off, and one whose share is stopped, are said in words', async () => {
    await printer('office').off()
    await page.type('office', 'lost', 'plain')
    await page.reached('office', 'failed')
    await page.slip('office').getByText('The printer refuses the connection.').waitFor()
    await page
      .slip('office')
      .getByText(/Switch it on/)
      .waitFor()
    await shares.kitchen?.stop()
    await page.condition('kitchen', /^Offline$/)
    await page.type('kitchen', 'lost', 'plain')
    await page.slip('kitchen').getByText('Nobody serves this name now.').waitFor()
    await share('kitchen')
    await page.condition('kitchen', /^(Online|Ready)$/)
    await page.slip('kitchen').getByRole('button', { name: 'Print again: Typed text' }).click()
    await page.reached('kitchen', 'done')
  })

  test('the language is switched, and remembered', async () => {
    await page.page.getByRole('button', { name: '中文' }).click()
    await page.text('信令已连接')
    await page.page.reload()
    await page.text('信令已连接')
    expect(await page.page.evaluate(() => document.documentElement.lang)).toBe('zh-CN')
  })

  test.each(['light', 'dark'] as const)('axe finds nothing serious in the %s theme', async (colorScheme) => {
    await page.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await printer('office').off()
    await page.type('office', 'lost', 'receipt')
    await page.reached('office', 'failed')
    const arrived = taken('kitchen')
    await page.drop('kitchen', 'long.bin', 8 * MIB)
    const socket = await arrived
    await page.reached('kitchen', 'sending')
    expect(await faultsOfAccess()).toEqual([])
    socket.resetAndDestroy()
    await page.page.goto(network.url)
    await page.page.getByLabel('Link or key').fill('nonsense')
    await page.page.getByRole('button', { name: 'Open' }).click()
    await page.text('This is not the link of a network.')
    expect(await faultsOfAccess()).toEqual([])
  })
})

withChromium('the way into the console', () => {
  let browser: Browser
  let network: Network
  let page: ConsolePage

  beforeAll(async () => {
    browser = await launchChromium()
    network = await startNetwork()
  })

  afterEach(async () => {
    await page.close()
    expect(page.faults).toEqual([])
  })

  afterAll(async () => {
    await browser?.close()
    await network?.stop()
  })

  const paste = async (text: string): Promise<void> => {
    await page.page.getByLabel('Link or key').fill(text)
    await page.page.getByRole('button', { name: 'Open' }).click()
  }

  test('without a key it asks for the link, which stays in the fragment', async () => {
    page = await ConsolePage.open(browser, network.url)
    await paste(`http://10.0.0.1:7070/#${network.key}`)
    await page.text('That link is for another server.')
    await paste(`nearport enable ${network.link}`)
    await page.text('Nothing is shared yet.')
    expect(page.page.url()).toBe(network.link)
  })

  test('with a key of another network it says so, and takes the right one', async () => {
    page = await ConsolePage.open(browser, `${network.url}#${'A'.repeat(43)}`)
    await page.text('The key in the link is not the key of this network.')
    await paste(network.link)
    await page.text('Nothing is shared yet.')
  })

  test('over plain HTTP at another address it says what to do', async () => {
    const link = new URL(network.link)
    link.hostname = INSECURE_HOST
    page = await ConsolePage.open(browser, link.href)
    await page.text('The browser allows no cryptography on this page')
  })

  test('in a browser that is too old it says which are not', async () => {
    const before = () => void Reflect.deleteProperty(globalThis, 'RTCPeerConnection')
    page = await ConsolePage.open(browser, network.link, { before })
    await page.text('This browser is too old for this page.')
  })

  test('without JavaScript it says what it needs', async () => {
    page = await ConsolePage.open(browser, network.link, { javaScriptEnabled: false })
    await page.text('This page needs JavaScript')
  })
})
