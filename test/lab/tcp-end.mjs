// One end of TCP connections, as a program of its own so that it can run in a namespace: a till, or a printer.
//
//     node tcp-end.mjs listen|dial HOST:PORT '{"send":BYTES,"mark":BYTES,"hold":BYTES}'
//
// It sends random bytes on each connection, and then ends its direction. Without "send", what was dialed sends
// nothing, and what was accepted is answered with the SHA-256 of all that came. It says when "mark" bytes have come,
// and reads no further than "hold" bytes until SIGUSR2. What happens is told in lines of JSON.
import { createHash, randomBytes } from 'node:crypto'
import { connect, createServer } from 'node:net'

const CHUNK = 64 * 1024
const TEXT = 200

const [mode, address = '', options = '{}'] = process.argv.slice(2)
const { send, mark = Number.POSITIVE_INFINITY, hold = Number.POSITIVE_INFINITY } = JSON.parse(options)
const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? []

const say = (connection, event, fields = {}) =>
  process.stdout.write(`${JSON.stringify({ event, connection, ms: performance.now(), ...fields })}\n`)

/** Sockets that are not read until SIGUSR2. */
const held = new Set()
let released = false
process.on('SIGUSR2', () => {
  released = true
  for (const socket of held) socket.resume()
})

/** Takes all that comes, and tells how that ended. Resolves with the hash of all; never, if the connection is reset. */
function receive(socket, connection) {
  const hash = createHash('sha256')
  let bytes = 0
  let text = ''
  socket.on('data', (chunk) => {
    hash.update(chunk)
    if (bytes < TEXT) text += chunk.subarray(0, TEXT - bytes).toString('latin1')
    if (bytes < mark && bytes + chunk.length >= mark) say(connection, 'mark', { bytes: bytes + chunk.length })
    bytes += chunk.length
    if (bytes >= hold && !released) held.add(socket.pause())
  })
  return new Promise((resolve) => {
    let ended = false
    socket.on('end', () => {
      ended = true
      const sha256 = hash.digest('hex')
      say(connection, 'received', { bytes, sha256, text })
      resolve(sha256)
    })
    socket.on('error', (error) => say(connection, 'reset', { code: error.code ?? error.message, bytes }))
    socket.on('close', () => {
      held.delete(socket)
      if (!ended && !socket.errored) say(connection, 'reset', { code: 'closed', bytes })
    })
  })
}

/** Sends random bytes, as fast as they are taken, and ends our direction; never comes to that after a reset. */
async function sendRandom(socket, connection) {
  const hash = createHash('sha256')
  for (let left = send; left > 0; left -= CHUNK) {
    const chunk = randomBytes(Math.min(left, CHUNK))
    hash.update(chunk)
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve))
  }
  socket.end((error) => {
    // Called on a reset, too.
    if (!error) say(connection, 'sent', { bytes: send, sha256: hash.digest('hex') })
  })
}

function serve(socket, connection, answers) {
  say(connection, 'connected')
  const received = receive(socket, connection)
  if (send !== undefined) sendRandom(socket, connection)
  else if (answers) received.then((sha256) => socket.end(sha256))
  else socket.end()
}

if (mode === 'listen') {
  let connections = 0
  const server = createServer({ allowHalfOpen: true }, (socket) => serve(socket, ++connections, true))
  server.listen(Number(port), host, () => say(0, 'listening', { port: server.address().port }))
} else if (mode === 'dial') {
  const socket = connect({ host, port: Number(port), allowHalfOpen: true })
  socket.once('connect', () => serve(socket, 1, false))
} else {
  throw new Error('usage: tcp-end.mjs listen|dial HOST:PORT OPTIONS')
}
