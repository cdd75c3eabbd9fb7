/** Real Chromium, and pages in it that have loaded `nearport/browser` from the signaling server. */
import { existsSync } from 'node:fs'
import { describe, test } from '@jest/globals'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import type * as nearportBrowser from '../../web/browser/index.ts'

declare global {
  /** In a page: the library. */
  var nearport: typeof nearportBrowser
  /** In a page: what a test keeps there from one step to the next. */
  var net: nearportBrowser.Network
  var job: nearportBrowser.Connection
  var written: number
}

export const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path))

/** describe() for tests that need Chromium: skipped without it, and failing where CI is set. */
export function describeChromium(title: string, body: () => void): void {
  if (CHROMIUM !== undefined || process.env.CI) describe(title, body)
  else test.skip(`${title}: needs Chromium: apt-get install chromium`, () => undefined)
}

const FLAGS = [
  'no-sandbox',
  'disable-gpu',
  'disable-quic',
  'no-first-run',
  'disable-sync',
  'disable-background-networking',
  'disable-component-update',
  // Else its candidates are names that only multicast DNS resolves.
  'disable-features=WebRtcHideLocalIpsWithMdns',
]

/** `hosts`: names that this browser takes for 127.0.0.1. */
export function launchChromium(hosts: readonly string[] = []): Promise<Browser> {
  const rules = hosts.map((host) => `MAP ${host} 127.0.0.1`).join(',')
  const flags = hosts.length === 0 ? FLAGS : [...FLAGS, `host-resolver-rules=${rules}`]
  return chromium.launch({ executablePath: CHROMIUM ?? 'chromium', args: flags.map((flag) => `--${flag}`) })
}

/** A page of the server at `url`, with the library as `nearport`, connected to nothing yet. */
export async function openPage(context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage()
  // Shown as text, under the policy the server sends with every file.
  await page.goto(new URL('browser.js', url).href)
  await page.evaluate(`import('./browser.js').then((module) => { globalThis.nearport = module })`)
  return page
}

/** {@link openPage}, connected: its network is `net`. */
export async function openPeer(context: BrowserContext, link: string): Promise<Page> {
  const page = await openPage(context, link.slice(0, link.indexOf('#')))
  await page.evaluate(async (invite) => {
    globalThis.net = await nearport.connect({ invite })
  }, link)
  return page
}
