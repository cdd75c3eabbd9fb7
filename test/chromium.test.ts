/** Each engine and Chromium reach each other, in both roles, and move bytes both ways on a channel beside control. */
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type WebSocket, WebSocketServer } from 'ws'
import { messageBytes } from '../shared/engine.ts'
import { outgoing, parseSignal } from '../shared/sdp.ts'
import { availableEngines } from './support/links.ts'
import { connected, opened, rtcEnd } from './support/rtc-pair.ts'

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path))
const engines = await availableEngines()
const MESSAGE = 65_536
const MESSAGES = 64

/** What the page does: the other end of a link, which sends back every message of channel 1. */
const PAGE = `<!doctype html><script type="module">
  const socket = new WebSocket('ws://' + location.host)
  const tell = (message) => socket.send(JSON.stringify(message))
  const pc = new RTCPeerConnection({ iceServers: [] })
  pc.createDataChannel('control', { negotiated: true, id: 0 })
  const echo = pc.createDataChannel('pc1', { negotiated: true, id: 1, ordered: true })
  echo.binaryType = 'arraybuffer'
  echo.onmessage = ({ data }) => echo.send(data)
  pc.onicecandidate = ({ candidate }) => candidate && tell({ type: 'candidate', candidate })
  const offers = location.hash === '#initiator'
  const early = []
  socket.onopen = async () => {
    if (!offers) return
    await pc.setLocalDescription()
    tell(pc.localDescription)
  }
  socket.onmessage = async ({ data }) => {
    const message = JSON.parse(data)
    if (message === null) return
    if (message.type === 'candidate') {
      if (pc.remoteDescription) await pc.addIceCandidate(message.candidate)
      else early.push(message.candidate)
      return
    }
    await pc.setRemoteDescription(message)
    for (const candidate of early.splice(0)) await pc.addIceCandidate(candidate)
    if (offers) return
    await pc.setLocalDescription()
    tell(pc.localDescription)
  }
</script>`

/** Chromium with the page open, and the WebSocket from it. */
async function page(role: 'initiator' | 'acceptor') {
  const http = createServer((_request, response) => response.setHeader('content-type', 'text/html').end(PAGE))
  const sockets = new WebSocketServer({ server: http })
  const socket = new Promise<WebSocket>((resolve) => sockets.once('connection', resolve))
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const profile = await mkdtemp(join(tmpdir(), 'nearport-chromium-'))
  const flags = ['headless', 'no-sandbox', 'disable-gpu', 'disable-quic', 'no-first-run', 'disable-sync']
  const quiet = ['disable-background-networking', 'disable-component-update', `user-data-dir=${profile}`]
  // Else its candidates are names that only multicast DNS resolves.
  const features = 'disable-features=WebRtcHideLocalIpsWithMdns'
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/#${role}`
  const browser = spawn(CHROMIUM ?? '', [...[...flags, ...quiet, features].map((flag) => `--${flag}`), url], {
    stdio: 'ignore',
  })
  const gone = new Promise((resolve) => browser.once('exit', resolve))
  return {
    socket: await socket,
    close: async () => {
      browser.kill('SIGKILL')
      await gone
      for (const client of sockets.clients) client.terminate()
      sockets.close()
      http.close()
      await rm(profile, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}

const withChromium = CHROMIUM !== undefined || process.env.CI ? test : test.skip
const rows = engines.flatMap((engine) => [
  [engine.name, 'offers', engine] as const,
  [engine.name, 'answers', engine] as const,
])

afterAll(async () => {
  for (const engine of engines) await engine.close()
})

withChromium.each(rows)('%s %s, Chromium (package chromium) is the other end', async (_name, role, engine) => {
  const { socket, close } = await page(role === 'offers' ? 'acceptor' : 'initiator')
  const end = rtcEnd(engine, role === 'offers')
  try {
    // Each side has the other's description as nearport rewrites it.
    end.peer.on('signal', (signal) => socket.send(JSON.stringify(outgoing(parseSignal(signal)))))
    socket.on('message', (text) => {
      const signal = outgoing(parseSignal(JSON.parse(String(text))))
      if (signal !== null && signal.type !== 'nat') end.peer.signal(signal)
    })
    const channel = end.connection.createDataChannel('pc1', { negotiated: true, id: 1, ordered: true })
    await Promise.all([connected(end.peer), opened(channel)])

    const [sent, received] = [createHash('sha256'), createHash('sha256')]
    const all = new Promise<void>((resolve) => {
      let left = MESSAGE * MESSAGES
      channel.onmessage = ({ data }) => {
        const bytes = messageBytes(data) ?? new Uint8Array()
        received.update(bytes)
        left -= bytes.length
        if (left === 0) resolve()
        else send()
      }
    })
    let messages = 0
    const send = () => {
      if (messages++ >= MESSAGES) return
      const message = randomBytes(MESSAGE)
      sent.update(message)
      channel.send(message)
    }
    send()
    await all
    expect(received.digest('hex')).toBe(sent.digest('hex'))
  } finally {
    end.peer.destroy()
    await close()
  }
})
