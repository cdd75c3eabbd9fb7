/** The pages the server serves, as a user opens them: the example of a till, over HTTP, TLS, and behind a proxy. */
import { writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Browser } from 'playwright-core'
import { createSelfSignedCertificate } from 'werift'
import { describeChromium, launchChromium } from './support/browser.ts'
import { readAll, TcpTarget } from './support/tcp.ts'
import { Network, startNetwork } from './support/tunnel.ts'

/** Prints, and answers with how many bytes it was. */
function printing(jobs: Buffer[]) {
  return (socket: Socket): void => {
    const answer = async () => {
      const job = await readAll(socket)
      jobs.push(job)
      socket.end(`ok ${job.length}`)
    }
    answer().catch(() => socket.destroy())
  }
}

describeChromium('the example of a till, in Chromium (package chromium)', () => {
  let browser: Browser
  let network: Network
  let printer: TcpTarget
  const jobs: Buffer[] = []

  beforeAll(async () => {
    browser = await launchChromium()
    printer = await TcpTarget.start(printing(jobs))
    network = await startNetwork()
    await network.share({ pc1: printer.address })
  })

  afterAll(async () => {
    await browser?.close()
    await network?.stop()
    await printer?.off()
  })

  /** Opens the till of the server at `url`, prints a text, and returns what it shows. */
  async function till(url: string, key: string, kind: 'receipt' | 'label', text: string) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    const page = await context.newPage()
    const complaints: string[] = []
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(`${url}examples/till.html#${key}`)
    await page
      .getByRole('status')
      .filter({ hasText: /^connected$/ })
      .waitFor()
    await page.getByLabel('Printer').fill('pc1')
    await page.getByLabel('Kind').selectOption(kind)
    await page.getByLabel('Text').fill(text)
    await page.getByRole('button', { name: 'Print' }).click()
    await page.getByRole('status').filter({ hasText: 'printed' }).waitFor()
    const shown = [await page.getByRole('status').textContent(), await page.locator('#answer').textContent()]
    await context.close()
    return { shown, complaints, job: jobs.at(-1)?.toString('latin1') }
  }

  test('prints a receipt and a label', async () => {
    const receipt = await till(network.url, network.key, 'receipt', '1 coffee   2.80')
    const paper = '\x1b@1 coffee   2.80\n\x1bd\x04\x1dV\0'
    expect(receipt).toEqual({ shown: ['printed', `ok ${paper.length}`], complaints: [], job: paper })
    const label = await till(network.url, network.key, 'label', 'shelf ^7\nleft')
    expect(label.job).toBe('^XA^CI28^CF0,40^FO40,40^FB700,8,8^FDshelf  7\\&left^FS^XZ')
    expect(label.complaints).toEqual([])
  })

  test('says in words what is wrong', async () => {
    const page = await browser.newPage()
    await page.goto(`${network.url}examples/till.html`)
    await page.getByRole('status').filter({ hasText: 'copy the whole link' }).waitFor()
    await page.close()
  })

  test('works behind a proxy that puts a folder before it', async () => {
    const { port, hostname } = new URL(network.url)
    const inner = (path = '') => path.replace(/^\/nearport/, '')
    const proxy = createServer((from, to) => {
      from.pipe(
        request({ port, hostname, path: inner(from.url), headers: from.headers }, (answer) => {
          to.writeHead(answer.statusCode ?? 500, answer.headers)
          answer.pipe(to)
        }),
      )
    })
    proxy.on('upgrade', (from, socket, head) => {
      const to = connect(Number(port), hostname)
      const headers = Object.entries(from.headers).map(([name, value]) => `${name}: ${value}\r\n`)
      to.write(`GET ${inner(from.url)} HTTP/1.1\r\n${headers.join('')}\r\n`)
      to.write(head)
      to.pipe(socket).pipe(to)
      to.on('error', () => socket.destroy())
      socket.on('error', () => to.destroy())
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/nearport/`
    try {
      const printed = await till(url, network.key, 'receipt', 'x')
      expect(printed).toMatchObject({ shown: ['printed', 'ok 10'], complaints: [] })
    } finally {
      proxy.closeAllConnections()
      proxy.close()
    }
  })

  test('works over TLS', async () => {
    const { certPem, keyPem } = await createSelfSignedCertificate({ signature: 3, hash: 4 })
    const [cert, key] = [`${network.folder}/cert.pem`, `${network.folder}/key.pem`]
    await Promise.all([writeFile(cert, certPem), writeFile(key, keyPem)])
    const env = () => ({ NODE_EXTRA_CA_CERTS: cert, NODE_TLS_REJECT_UNAUTHORIZED: '0' })
    const secure = new Network(`${network.folder}/tls`, { signal: ['--tls-cert', cert, '--tls-key', key], env })
    try {
      await secure.startSignaling()
      expect(secure.url).toMatch(/^https:/)
      await secure.succeed('share', ['enable', secure.link])
      await secure.share({ pc1: printer.address }, { ephemeral: true })
      expect(await till(secure.url, secure.key, 'receipt', 'x')).toMatchObject({
        shown: ['printed', 'ok 10'],
        complaints: [],
      })
    } finally {
      await secure.stop()
    }
  })
})
