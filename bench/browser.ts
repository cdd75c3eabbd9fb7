/**
 * Bulk throughput from a web page in Chromium to a printer, as a ratio to a bare data channel from Chromium to the
 * same engine, in the same run: rounds of bare, near; medians of the ratios.
 *
 *     npm run bench:browser -- [--mib 64] [--rounds 5] [--engine native,werift] [--bare-kib 1024]
 *
 * `--bare-kib`: what the bare side keeps buffered.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chromium, type Page } from 'playwright-core'
import type * as nearportBrowser from '../web/browser/index.ts'

declare global {
  /** In a page. */
  var net: nearportBrowser.Network
  var bareSignal: (signal: unknown) => Promise<void>
  var bareSend: (bytes: number, highWater: number) => void
}

const MIB = 1024 * 1024
const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '5' },
    engine: { type: 'string', default: 'native,werift' },
    'bare-kib': { type: 'string', default: '1024' },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
  },
})
const bytes = Number(values.mib) * MIB
const bareHighWater = Number(values['bare-kib']) * 1024
const cli = fileURLToPath(new URL('../bin/nearport.js', import.meta.url))

/** Chromium at one end of a bare channel, a process with the engine at the other; gives the seconds of a run. */
async function bareChannel(page: Page, engine: string) {
  const file = fileURLToPath(new URL('contenders/bare-end.js', import.meta.url))
  const end = fork(file, [engine, 'acceptor', '65536', '131072'])
  const opened = message(end, 'open')
  end.on('message', async (said: { signal?: unknown }) => {
    if ('signal' in said) await page.evaluate((signal) => bareSignal(signal), said.signal)
  })
  await page.exposeFunction('tellBare', (signal: unknown) => end.send({ signal }))
  await page.evaluate(offerBare)
  await opened
  return {
    run: async () => {
      const done = message(end, 'done')
      end.send({ expect: bytes })
      const begin = performance.now()
      await page.evaluate(([count, highWater]) => bareSend(count, highWater), [bytes, bareHighWater] as const)
      await done
      return (performance.now() - begin) / 1000
    },
    close: () => end.disconnect(),
  }
}

/** Runs in the page: full messages, whenever less is buffered than the high-water mark. */
async function offerBare(): Promise<void> {
  const tell = (globalThis as unknown as { tellBare: (signal: unknown) => Promise<void> }).tellBare
  const connection = new RTCPeerConnection({ iceServers: [] })
  connection.createDataChannel('control', { negotiated: true, id: 0 })
  const channel = connection.createDataChannel('bulk', { negotiated: true, id: 1, ordered: true })
  const early: RTCIceCandidateInit[] = []
  connection.onicecandidate = ({ candidate }) => {
    if (candidate !== null) void tell({ type: 'candidate', candidate: candidate.toJSON() })
  }
  globalThis.bareSignal = async (signal) => {
    const said = signal as { type: string; candidate?: RTCIceCandidateInit }
    if (said.type === 'answer') {
      await connection.setRemoteDescription(said as RTCSessionDescriptionInit)
      for (const candidate of early.splice(0)) await connection.addIceCandidate(candidate)
    } else if (connection.remoteDescription === null) early.push(said.candidate ?? {})
    else await connection.addIceCandidate(said.candidate)
  }
  globalThis.bareSend = (count, highWater) => {
    channel.bufferedAmountLowThreshold = highWater / 2
    const message = new Uint8Array(65_536)
    let left = count
    const fill = () => {
      for (; left > 0 && channel.bufferedAmount < highWater; left -= message.length) channel.send(message)
    }
    channel.onbufferedamountlow = fill
    fill()
  }
  await connection.setLocalDescription()
  await tell({ type: 'offer', sdp: connection.localDescription?.sdp })
}

function message(child: ChildProcess, key: string): Promise<void> {
  return new Promise((resolve) => {
    const look = (said: object) => {
      if (!(key in said)) return
      child.off('message', look)
      resolve()
    }
    child.on('message', look)
  })
}

/** A server and a share as processes, with the printer here. */
async function startShare(engine: string) {
  const home = await mkdtemp(join(tmpdir(), 'nearport-bench-'))
  const children: ChildProcess[] = []
  const start = async (name: string, args: string[], link?: string) => {
    const env = { ...process.env, NEARPORT_HOME: join(home, name), NEARPORT_LOG_LEVEL: 'warn' }
    const child = spawn(process.execPath, [cli, ...args], {
      env: link === undefined ? env : { ...env, NEARPORT_LINK: link },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    return line.toString().trim()
  }
  const printer = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(printer, 'listening')
  const address = printer.address()
  if (address === null || typeof address === 'string') throw new Error('the printer has no port')
  const link = (await start('signal', ['signal', '--listen', '127.0.0.1:0'])).replace('nearport enable ', '')
  await start('share', ['share', 'private', `127.0.0.1:${address.port}`, '-n', 'bench', '--engine', engine], link)
  return {
    link,
    /** Seconds until the printer has a whole job. */
    run: async (page: Page) => {
      const printed = new Promise<void>((resolve) => {
        printer.once('connection', (socket: Socket) => {
          let left = bytes
          socket.on('data', (piece) => {
            left -= piece.length
            if (left === 0) resolve()
          })
          socket.on('end', () => socket.end())
        })
      })
      const begin = performance.now()
      const sent = page.evaluate(print, bytes)
      await printed
      const seconds = (performance.now() - begin) / 1000
      await sent
      return seconds
    },
    close: async () => {
      printer.close()
      for (const child of children) child.kill()
      await Promise.all(children.map((child) => child.exitCode ?? once(child, 'exit')))
      await rm(home, { recursive: true })
    },
  }
}

/** Runs in the page. */
async function print(count: number): Promise<void> {
  const connection = await net.open('bench')
  const writer = connection.writable.getWriter()
  const chunk = new Uint8Array(1024 * 1024)
  for (let left = count; left > 0; left -= chunk.length) await writer.write(chunk)
  await writer.close()
  await connection.closed
}

const median = (numbers: number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN

console.log('| engine | bare MB/s | nearport MB/s | ratio (median) | ratios |')
console.log('| --- | --- | --- | --- | --- |')
for (const engine of values.engine.split(',')) {
  const share = await startShare(engine)
  const features = '--disable-features=WebRtcHideLocalIpsWithMdns'
  const quiet = ['--disable-background-networking', '--disable-component-update', '--no-first-run']
  const args = ['--no-sandbox', '--disable-gpu', features, ...quiet]
  const browser = await chromium.launch({ executablePath: values.chromium, args })
  const page = await browser.newPage()
  await page.goto(share.link.replace(/#.*/, 'browser.js'))
  await page.evaluate(`import('./browser.js')
    .then(({ connect }) => connect({ invite: ${JSON.stringify(share.link)} }))
    .then((net) => { globalThis.net = net })`)
  const bare = await bareChannel(page, engine)
  const rounds: { bare: number; near: number }[] = []
  // The first round of each warms up.
  for (let round = 0; round <= Number(values.rounds); round++) {
    const pair = { bare: await bare.run(), near: await share.run(page) }
    if (round > 0) rounds.push(pair)
  }
  const ratios = rounds.map((round) => round.bare / round.near)
  const rate = (seconds: number[]) => (bytes / 1e6 / median(seconds)).toFixed(1)
  const cells = [
    engine,
    rate(rounds.map((round) => round.bare)),
    rate(rounds.map((round) => round.near)),
    median(ratios).toFixed(2),
    ratios.map((ratio) => ratio.toFixed(2)).join(' '),
  ]
  console.log(`| ${cells.join(' | ')} |`)
  bare.close()
  await browser.close()
  await share.close()
}
