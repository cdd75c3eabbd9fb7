/** Servers that are none of ours, on loopback: each test decides what they say. */
import { type WebSocket, WebSocketServer } from 'ws'
import { toBase64Url } from '../../shared/bytes.ts'
import { admissionVerifier, type Bytes } from '../../shared/crypto.ts'
import { SPOKEN } from '../../shared/versions.ts'
import { Admission, type Attempt } from '../../signaling/admission.ts'

const closing: (() => Promise<void>)[] = []

/** For afterEach. */
export async function closeFakeServers(): Promise<void> {
  for (const close of closing.splice(0)) await close()
}

/** `say` decides what is answered to each message; returns the URL. */
export async function fakeServer(say: (text: string, socket: WebSocket) => void): Promise<string> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await new Promise((resolve) => server.once('listening', resolve))
  server.on('connection', (socket) => socket.on('message', (data) => say(data.toString(), socket)))
  closing.push(
    () =>
      new Promise((resolve) => {
        for (const client of server.clients) client.terminate()
        server.close(() => resolve())
      }),
  )
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no address')
  return `http://127.0.0.1:${address.port}/`
}

/** Admits everybody who has the key, then hands over what comes. */
export async function admitting(
  networkKey: Bytes,
  say: (message: { readonly type: string; readonly request: number }, socket: WebSocket) => void,
): Promise<string> {
  const admission = new Admission(await admissionVerifier(networkKey))
  const attempts = new Map<WebSocket, Attempt>()
  return fakeServer((text, socket) => {
    const message = JSON.parse(text)
    const attempt = attempts.get(socket)
    if (message.type === 'hello') {
      const challenge = JSON.stringify({ type: 'challenge', ...SPOKEN, nonce: toBase64Url(admission.newNonce()) })
      attempts.set(socket, { identity: message.identity, hello: text, challenge })
      socket.send(challenge)
    } else if (message.type === 'admit' && attempt !== undefined) {
      socket.send(JSON.stringify({ type: 'admitted', proof: admission.answer(attempt, message), stunPort: null }))
    } else say(message, socket)
  })
}
