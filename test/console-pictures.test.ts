/**
 * The pictures of docs/console.md: a network with something to see, in both languages and themes, and on a phone.
 * Made only when asked: NEARPORT_PICTURES=docs/console npm test -- test/console-pictures.test.ts
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Browser, BrowserContextOptions } from 'playwright-core'
import { ConsolePage, hasChromium, launchChromium } from './support/console.ts'
import { hashAll, readSome, TcpTarget } from './support/tcp.ts'
import { type Access, type Network, type Peer, startNetwork } from './support/tunnel.ts'

const MIB = 1024 * 1024
const FOLDER = process.env.NEARPORT_PICTURES
const RECEIPT = `        Café Central
2 espresso          4.80
1 croissant         2.40
--------------------------
Total               7.20 €`

const DESKTOP = { width: 1280, height: 800 }
const PHONE: BrowserContextOptions = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 1.5, hasTouch: true }

const PICTURES: readonly (readonly [string, BrowserContextOptions])[] = [
  ['light', { viewport: DESKTOP, colorScheme: 'light' }],
  ['dark', { viewport: DESKTOP, colorScheme: 'dark' }],
  ['zh', { viewport: DESKTOP, colorScheme: 'light', locale: 'zh-CN' }],
  ['zh-dark', { viewport: DESKTOP, colorScheme: 'dark', locale: 'zh-CN' }],
  ['phone', { ...PHONE, colorScheme: 'light' }],
  ['zh-phone-dark', { ...PHONE, colorScheme: 'dark', locale: 'zh-CN' }],
]

const whenAsked = FOLDER !== undefined && hasChromium ? describe : describe.skip

whenAsked('pictures of the console', () => {
  let browser: Browser
  let network: Network
  let till: Access
  const printers: TcpTarget[] = []
  const shares: Peer[] = []

  beforeAll(async () => {
    browser = await launchChromium()
    network = await startNetwork()
    const answering = async () => {
      const target = await TcpTarget.start(async (socket) => {
        const hash = await hashAll(socket).catch(() => null)
        if (hash !== null) socket.end(Buffer.from('\x12\x14 OK\n'))
      })
      printers.push(target)
      return target.address
    }
    const kitchen = await answering()
    const label = await answering()
    shares.push(await network.share({ 'kitchen-1': kitchen, 'label-zpl': label }, { maxConnections: 1 }))
    shares.push(await network.share({ 'office-2': await answering() }, { home: 'access' }))
    await network.succeed('access', ['reserve', 'private', '127.0.0.1:9100', '--unique-name', 'bar'])
    till = await network.access(['label-zpl'])
    await printers[1]?.off()
  })

  afterAll(async () => {
    await browser?.close()
    await till?.stop()
    await network?.stop()
    for (const printer of printers) await printer.off()
  })

  test.each(PICTURES)('%s', async (name, options) => {
    const page = await ConsolePage.open(browser, network.link, { ...options, reducedMotion: 'reduce' })
    const arrived = printers[0]?.next()
    await page.drop('kitchen-1', 'menu-2026.pdf', 20 * MIB)
    const socket = await arrived
    if (socket === undefined) throw new Error('there is no printer')
    await readSome(socket, 9 * MIB)
    await page.type('label-zpl', '^XA^FO50,50^ADN,36,20^FDnearport^FS^XZ', 'plain')
    await page.reached('label-zpl', 'failed')
    await page.type('office-2', RECEIPT, 'receipt')
    await page.reached('office-2', 'done')
    await page
      .tile('label-zpl')
      .locator('details')
      .first()
      .evaluate((form: HTMLDetailsElement) => (form.open = false))
    await page
      .tile('office-2')
      .locator('.path dd', { hasText: /ms|毫秒/ })
      .waitFor()
    await page.page.screenshot({ path: join(FOLDER ?? '', `${name}.png`), fullPage: true })
    socket.resetAndDestroy()
    await page.close()
    expect(page.faults).toEqual([])
  })

  test('the way in, and the server away', async () => {
    const page = await ConsolePage.open(browser, network.url, { viewport: DESKTOP })
    await page.page.getByLabel('Link or key').fill(randomBytes(8).toString('hex'))
    await page.page.getByRole('button', { name: 'Open' }).click()
    await page.text('This is not the link of a network.')
    await page.page.screenshot({ path: join(FOLDER ?? '', 'key.png') })
    await page.page.getByLabel('Link or key').fill(network.link)
    await page.page.getByRole('button', { name: 'Open' }).click()
    await page.tile('kitchen-1').waitFor()
    await network.signaling.stop('SIGKILL')
    await page.page.locator('.away').waitFor()
    await page.page.screenshot({ path: join(FOLDER ?? '', 'away.png') })
    await page.close()
  })
})
