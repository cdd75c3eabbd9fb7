// One end of TCP connections, as a program of its own so that it can run in a namespace: a till, or a printer.
//
//     node tcp-end.mjs listen|dial HOST:PORT '{"send":BYTES,"mark":BYTES,"hold":BYTES}'
//
// It sends random bytes on each connection, and then ends its direction. Without "send", what was dialed sends
// nothing, and what was accepted is answered with the SHA-256 of all that came. It says when "mark" bytes have come,
// and reads no further than "hold" bytes until SIGUSR2. What happens is told in lines of JSON.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

const CHUNK = 64 * 1024
const TEXT = 200

const [mode, address = '', options = '{}'] = process.argv.slice(2)
const { send, mark = Number.POSITIVE_INFINITY, hold = Number.POSITIVE_INFINITY } = JSON.parse(options)
const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? []

const say = (connection, event, fields = {}) =>
  process.stdout.write(`${JSON.stringify({ event, connection, ms: performance.now(), ...fields })}\n`)

const released = new Promise((resolve) => process.once('SIGUSR2', resolve))

/** Takes all that comes; returns its hash, and its beginning as text. */
async function receive(socket, connection) {
  const hash = createHash('sha256')
  let bytes = 0
  let text = ''
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    hash.update(chunk)
    if (bytes < TEXT) text += chunk.subarray(0, TEXT - bytes).toString('latin1')
    if (bytes < mark && bytes + chunk.length >= mark) say(connection, 'mark', { bytes: bytes + chunk.length })
    bytes += chunk.length
    progress.set(connection, bytes)
    if (bytes >= hold) await released
  }
  return { bytes, sha256: hash.digest('hex'), text }
}

/** Sends random bytes, as fast as they are taken, and ends our direction. */
async function sendRandom(socket, count) {
  const hash = createHash('sha256')
  for (let left = count; left > 0; left -= CHUNK) {
    const chunk = randomBytes(Math.min(left, CHUNK))
    hash.update(chunk)
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  await new Promise((resolve) => socket.end(resolve))
  return { bytes: count, sha256: hash.digest('hex') }
}

/** Bytes that have come so far, by connection. */
const progress = new Map()

async function serve(socket, connection, answers) {
  say(connection, 'connected')
  // Of what it ends with, the first is told; iterating ends with the same.
  socket.on('error', (error) => {
    say(connection, 'reset', { code: error.code ?? error.message, bytes: progress.get(connection) ?? 0 })
  })
  const receiving = receive(socket, connection).then((received) => {
    say(connection, 'received', received)
    return received
  })
  const sending =
    send !== undefined
      ? sendRandom(socket, send).then((sent) => say(connection, 'sent', sent))
      : answers
        ? receiving.then(({ sha256 }) => socket.end(sha256))
        : socket.end()
  const [first] = await Promise.allSettled([receiving, sending])
  // A reset was told by the event.
  if (first.status === 'rejected' && !socket.errored) throw first.reason
}

if (mode === 'listen') {
  let connections = 0
  const server = createServer({ allowHalfOpen: true }, (socket) => serve(socket, ++connections, true))
  server.listen(Number(port), host, () => say(0, 'listening', { port: server.address().port }))
} else if (mode === 'dial') {
  const socket = connect({ host, port: Number(port), allowHalfOpen: true })
  await serve(socket, 1, false)
} else {
  throw new Error('usage: tcp-end.mjs listen|dial HOST:PORT OPTIONS')
}
