/** The console in Chromium, as somebody who prints sees it. */
import { existsSync } from 'node:fs'
import { test } from '@jest/globals'
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core'

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path))

/** `describe` where there is a Chromium, or where there must be one. */
export const hasChromium = CHROMIUM !== undefined || Boolean(process.env.CI)
if (!hasChromium) test.skip('the console: Chromium is missing (Debian: apt install chromium)', () => undefined)

/** What plain HTTP at an address that is not this machine looks like to the browser. */
export const INSECURE_HOST = 'printers.test'

export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM ?? '/usr/bin/chromium',
    args: [
      ...['no-sandbox', 'disable-gpu', 'disable-quic', 'disable-sync', 'disable-background-networking'],
      ...['disable-component-update', 'no-first-run', `host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`],
      // Else its candidates are names that only multicast DNS resolves.
      'disable-features=WebRtcHideLocalIpsWithMdns',
    ].map((flag) => `--${flag}`),
  })
}

export interface PageOptions extends BrowserContextOptions {
  /** runs in the page before anything else does */
  readonly before?: () => void
}

/** One page in a profile of its own, and all that it did that it should not. */
export class ConsolePage {
  readonly page: Page
  /** what broke the Content-Security-Policy, went to another server, or was thrown and not caught */
  readonly faults: string[] = []

  private constructor(page: Page) {
    this.page = page
  }

  static async open(browser: Browser, url: string, { before, ...options }: PageOptions = {}): Promise<ConsolePage> {
    const context = await browser.newContext({ locale: 'en-US', ...options })
    // A test has a time of its own, which is the only one.
    context.setDefaultTimeout(0)
    const page = await context.newPage()
    if (before !== undefined) await page.addInitScript(before)
    const self = new ConsolePage(page)
    await context.exposeFunction('tellViolation', (what: string) => self.faults.push(`policy: ${what}`))
    await context.addInitScript(() => {
      addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
        // Exposed by the test, above.
        ;(globalThis as unknown as { tellViolation(what: string): void }).tellViolation(
          `${violatedDirective} ${blockedURI}`,
        )
      })
    })
    const { host } = new URL(url)
    page.on('request', (request) => {
      const to = new URL(request.url())
      if (to.host !== host && to.protocol !== 'blob:') self.faults.push(`request: ${to.href}`)
      if (to.search !== '' || to.href.includes(new URL(url).hash.slice(1) || '\0')) self.faults.push(`told: ${to.href}`)
    })
    page.on('pageerror', (error) => self.faults.push(`thrown: ${error.stack ?? error.message}`))
    await page.goto(url)
    return self
  }

  tile(name: string): Locator {
    return this.page.locator(`[data-share="${name}"]`)
  }

  /** The word that a tile leads with. */
  condition(name: string, word: RegExp): Promise<void> {
    return this.tile(name).locator('.condition strong', { hasText: word }).waitFor()
  }

  /** The newest job of a tile. */
  slip(name: string): Locator {
    return this.tile(name).locator('.slip').first()
  }

  /** Resolves once the newest job of a tile is in this state. */
  async reached(name: string, state: string): Promise<void> {
    await this.tile(name).locator(`.slip:first-child[data-state="${state}"]`).waitFor()
  }

  text(words: string | RegExp): Promise<void> {
    return this.page.getByText(words).first().waitFor()
  }

  /** Drops a file whose bytes the page makes itself; returns their SHA-256 in hex. */
  async drop(name: string, file: string, size: number): Promise<string> {
    const made = await this.page.evaluateHandle(
      async ({ file, size }) => {
        const bytes = new Uint8Array(size)
        for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536))
        const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
        const transfer = new DataTransfer()
        transfer.items.add(new File([bytes], file))
        return { transfer, hash: [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('') }
      },
      { file, size },
    )
    const dataTransfer = await made.evaluateHandle(({ transfer }) => transfer)
    const hash = await made.evaluate(({ hash }) => hash)
    const tile = this.tile(name)
    await tile.dispatchEvent('dragover', { dataTransfer })
    await tile.dispatchEvent('drop', { dataTransfer })
    await dataTransfer.dispose()
    await made.dispose()
    return hash
  }

  async type(name: string, text: string, kind: string): Promise<void> {
    const form = this.tile(name).locator('details').first()
    if ((await form.getAttribute('open')) === null) await form.locator('summary').click()
    await form.locator('textarea').fill(text)
    await form.locator('select').selectOption(kind)
    await form.getByRole('button').click()
  }

  /** Bytes of the newest job that the page is rid of: what the printer took, and what is on the way to it. */
  async accepted(name: string): Promise<number> {
    const figures = await this.slip(name).evaluate((slip) => {
      const of = (what: string) => Number(slip.querySelector(`[data-${what}]`)?.getAttribute(`data-${what}`) ?? 0)
      return [of('acknowledged'), of('on-the-way')] as const
    })
    return figures[0] + figures[1]
  }

  async close(): Promise<void> {
    await this.page.context().close()
  }
}
