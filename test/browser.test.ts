/** A web page in real Chromium prints: through the server's own bundle, a share peer on each engine, to TCP printers. */
import type { Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { describeChromium, launchChromium, openPeer } from './support/browser.ts'
import { ending, hashAll, readAll, readSome, sha256, TcpTarget } from './support/tcp.ts'
import { ENGINES, type Network, startNetwork } from './support/tunnel.ts'

const MIB = 1024 * 1024

/** Answers a whole job with its size and hash. */
async function printed(socket: Socket): Promise<void> {
  const hash = await hashAll(socket)
  socket.end(`printed ${hash}`)
}

const printing = (socket: Socket): void => {
  printed(socket).catch(() => socket.destroy())
}

/** Whether the connection was reset. Node 20 says "end" where unread bytes went with the reset; a write tells. */
async function isReset(socket: Socket): Promise<boolean> {
  if ((await ending(socket)) === 'ECONNRESET') return true
  return new Promise((resolve) => socket.write(Buffer.alloc(0), (error) => resolve(Boolean(error))))
}

describeChromium('a page in Chromium (package chromium)', () => {
  let browser: Browser

  beforeAll(async () => {
    browser = await launchChromium()
  })

  afterAll(async () => {
    await browser?.close()
  })

  describe.each(ENGINES)('and a share on %s', (engine) => {
    let network: Network
    let context: BrowserContext
    let page: Page
    let printers: TcpTarget[]

    beforeAll(async () => {
      network = await startNetwork()
      printers = [await TcpTarget.start(printing), await TcpTarget.start(printing)]
      await network.share({ pc1: printers[0]?.address ?? '', pc2: printers[1]?.address ?? '' }, { engine, grace: 600 })
      context = await browser.newContext()
      page = await openPeer(context, network.link)
    })

    afterEach(async () => {
      for (const printer of printers) {
        printer.onconnection = printing
        await printer.on()
      }
    })

    afterAll(async () => {
      await context?.close()
      await network?.stop()
      for (const printer of printers ?? []) await printer.off()
    })

    const printer = (at: number): TcpTarget => printers[at] as TcpTarget

    /** Opens a connection to pc1 in the page, as `job`; returns the printer's end of it. */
    async function begin(): Promise<Socket> {
      const arrived = printer(0).next()
      await page.evaluate(async () => {
        globalThis.job = await net.open('pc1')
      })
      return arrived
    }

    test('prints 20 MiB byte for byte, knows when the printer has all, and reads its answer', async () => {
      const result = await page.evaluate(async (bytes) => {
        const sent = new Uint8Array(bytes)
        for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(sent.subarray(at, at + 65_536))
        const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', sent))
        const connection = await net.open('pc1')
        const seen: number[] = []
        connection.acknowledged.subscribe((taken) => seen.push(taken))
        const answer = new Response(connection.readable).text()
        await new Blob([sent]).stream().pipeTo(connection.writable)
        const atEnd = connection.acknowledged.current
        const hash = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')
        return { hash, atEnd, steps: seen.length, answer: await answer, closed: await connection.closed }
      }, 20 * MIB)
      expect(result.answer).toBe(`printed ${result.hash}`)
      expect(result.atEnd).toBe(20 * MIB)
      expect(result.steps).toBeGreaterThan(10)
      expect(result.closed).toBeNull()
    })

    test('goes on writing after the printer has ended its direction', async () => {
      const socket = await begin()
      socket.end('ready')
      const read = page.evaluate(async () => {
        const text = await new Response(job.readable).text()
        const writer = job.writable.getWriter()
        await writer.write(new TextEncoder().encode('late job'))
        await writer.close()
        return [text, await job.closed]
      })
      expect((await readAll(socket)).toString()).toBe('late job')
      expect(await read).toEqual(['ready', null])
    })

    test('cancels in the middle, and the connection of the printer is reset', async () => {
      const socket = await begin()
      const writing = page.evaluate(async (bytes) => {
        const writer = job.writable.getWriter()
        const write = writer.write(new Uint8Array(bytes)).catch((error) => error.name)
        await job.readable.getReader().read()
        // A write is under way.
        await writer.abort('cancelled')
        const closed = await job.closed
        return [await write, closed?.code, closed?.message]
      }, 64 * MIB)
      await readSome(socket, MIB)
      const reset = isReset(socket)
      socket.write('busy')
      expect(await writing).toEqual(['NearportError', 'peer-reset', 'cancelled'])
      expect(await reset).toBe(true)
    })

    test('that writes what is no bytes does not leave the printer with half a job', async () => {
      const socket = await begin()
      const reset = isReset(socket)
      const outcome = await page.evaluate(async () => {
        const writer = job.writable.getWriter()
        await writer.write(new Uint8Array(10))
        const text = 'receipt' as unknown as Uint8Array
        return [await writer.write(text).catch((error) => error.name), (await job.closed)?.code]
      })
      expect(outcome).toEqual(['TypeError', 'peer-reset'])
      expect(await reset).toBe(true)
    })

    test('is told of a reset by the printer, in reading and in writing', async () => {
      const socket = await begin()
      const failures = page.evaluate(async () => {
        const code = (error: { code: string }) => error.code
        const reading = job.readable.getReader().read().catch(code)
        const writer = job.writable.getWriter()
        const writing = writer.write(new Uint8Array(64 * 1024 * 1024)).catch(code)
        return [await reading, await writing, await writer.closed.catch(code), (await job.closed)?.code]
      })
      await readSome(socket, MIB)
      socket.resetAndDestroy()
      expect(await failures).toEqual(['peer-reset', 'peer-reset', 'peer-reset', 'peer-reset'])
    })

    test('is held up by a printer that stalls, and only there', async () => {
      const socket = await begin()
      await page.evaluate((bytes) => {
        globalThis.written = 0
        const writer = job.writable.getWriter()
        const write = async () => {
          for (; written < bytes; globalThis.written += 65_536) {
            await writer.write(new Uint8Array(65_536).fill(written >> 16))
          }
          await writer.close()
        }
        write().catch(() => {
          globalThis.written = -1
        })
      }, 48 * MIB)
      const begun = await readSome(socket, 1)
      const answer = await page.evaluate(async (bytes) => {
        const other = await net.open('pc2')
        const text = new Response(other.readable).text()
        await new Blob([new Uint8Array(bytes)]).stream().pipeTo(other.writable)
        return text
      }, 20 * MIB)
      expect(answer).toMatch(/^printed /)
      // The windows, and what the kernel holds on loopback; the rest waits in the page.
      expect(await page.evaluate(() => written)).toBeLessThan(24 * MIB)
      const whole = hashAll(socket)
      socket.unshift(begun)
      socket.resume()
      const sent = Buffer.alloc(48 * MIB)
      for (let at = 0; at < sent.length; at += 65_536) sent.fill(at >> 16, at, at + 65_536)
      expect(await whole).toBe(sha256(sent))
      socket.end()
      expect(await page.evaluate(() => job.closed)).toBeNull()
    })

    test('says why a printer cannot be had', async () => {
      await printer(0).off()
      const codes = await page.evaluate(async () => {
        const connection = await net.open('pc1')
        const code = (error: { code: string }) => error.code
        const writer = connection.writable.getWriter()
        const reading = connection.readable.getReader().read().catch(code)
        await writer.closed.catch(() => undefined)
        const write = await writer.write(new Uint8Array(1)).catch(code)
        return [await reading, write, (await connection.closed)?.code]
      })
      expect(codes).toEqual(['target-refused', 'target-refused', 'target-refused'])
    })

    test('knows the path to a name it has used', async () => {
      const { path, other } = await page.evaluate(async () => {
        return { path: await net.path('pc1'), other: await net.path('pc9') }
      })
      expect(path?.local.type).toBe('host')
      expect(path?.remote.port).toBeGreaterThan(0)
      expect(path?.bytesSent).toBeGreaterThan(20 * MIB)
      expect(other).toBeNull()
    })

    /** A page of its own in the middle of a job, and how that ends at the printer. */
    async function midway(): Promise<{ leaving: Page; reset: Promise<boolean> }> {
      page = await openPeer(context, network.link)
      const socket = await begin()
      const half = 200_000
      await page.evaluate((bytes) => job.writable.getWriter().write(new Uint8Array(bytes)), half)
      await readSome(socket, half)
      return { leaving: page, reset: isReset(socket) }
    }

    // The grace of the share is ten minutes: whoever waited for that would not be here in time.
    test('frees the printer when it goes away in the middle of a job', async () => {
      const { leaving, reset } = await midway()
      await leaving.goto('about:blank')
      expect(await reset).toBe(true)
    })

    test('frees the printer when it has crashed in the middle of a job, and the next page comes', async () => {
      const { leaving, reset } = await midway()
      const crashed = leaving.waitForEvent('crash')
      leaving.goto('chrome://crash').catch(() => 'as it is wanted')
      await crashed
      page = await openPeer(context, network.link)
      await page.evaluate(() => net.open('pc2'))
      expect(await reset).toBe(true)
    })
  })
})
