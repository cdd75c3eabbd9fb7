/** A page in Chromium remembers whom a name belongs to, and the console is where another owner is accepted. */
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Browser } from 'playwright-core'
import { describeChromium, launchChromium, openPeer } from './support/browser.ts'
import { ConsolePage } from './support/console.ts'
import { readAll, TcpTarget } from './support/tcp.ts'
import { type Network, type Peer, startNetwork } from './support/tunnel.ts'

describeChromium('the owner of a name, in Chromium (package chromium)', () => {
  let browser: Browser
  let network: Network
  const printers: Record<string, TcpTarget> = {}

  beforeAll(async () => {
    browser = await launchChromium()
    network = await startNetwork()
    for (const home of ['share', 'access']) {
      printers[home] = await TcpTarget.start(async (socket) => {
        await readAll(socket).catch(() => null)
        socket.end(home)
      })
    }
  })
  afterAll(async () => {
    await browser?.close()
    await network?.stop()
    for (const printer of Object.values(printers)) await printer.off()
  })

  /** pc1 is served by this environment, from now on. */
  async function serve(home: string, before: readonly [Peer, string] | null): Promise<Peer> {
    if (before !== null) {
      await before[0].stop()
      await network.succeed(before[1], ['release', 'pc1'])
    }
    return network.share({ pc1: printers[home]?.address ?? '' }, { home, engine: 'werift' })
  }

  test('is remembered by all pages of a browser, refused when it is another, and accepted by the user', async () => {
    const [known, now] = [
      await network.succeed('share', ['identity', 'show']),
      await network.succeed('access', ['identity', 'show']),
    ]
    const first = await serve('share', null)
    const console = await ConsolePage.open(browser, network.link)
    await console.type('pc1', 'x', 'plain')
    await console.reached('pc1', 'done')
    expect(await console.slip('pc1').locator('pre').textContent()).toBe('share')

    await serve('access', [first, 'share'])
    await console.condition('pc1', /Another owner/)
    await console.type('pc1', 'x', 'plain')
    await console.reached('pc1', 'failed')
    const tile = console.tile('pc1')
    expect(await tile.locator('.fingerprints code').allTextContents()).toEqual([known, now])

    // Another page of the same browser, after the first one met the owner.
    const page = await openPeer(console.page.context(), network.link)
    const refused = await page.evaluate(async () => {
      const error = await net.open('pc1').catch((thrown) => thrown)
      return [error.code, error.message] as const
    })
    expect(refused[0]).toBe('owner-changed')
    expect(refused[1]).toContain(known)
    expect(refused[1]).toContain(now)

    await tile.getByRole('button', { name: /Accept the new owner/ }).click()
    await tile.getByText(new RegExp(`print ${now}, every`)).waitFor()
    await tile.getByRole('button', { name: 'Yes, accept it' }).click()
    await console.condition('pc1', /Online|Ready/)
    await console.type('pc1', 'x', 'plain')
    await console.reached('pc1', 'done')
    expect(await console.slip('pc1').locator('pre').textContent()).toBe('access')
    const answer = await page.evaluate(async () => {
      const job = await net.open('pc1')
      await job.writable.getWriter().close()
      return new Response(job.readable).text()
    })
    expect(answer).toBe('access')
    expect(console.faults).toEqual([])
    await console.close()
  })
})
