// Tells how a NAT treats UDP, with two sockets of a server outside of it (as RFC 5780 does):
//
//     node nat-probe.mjs serve HOST               prints the two ports
//     node nat-probe.mjs ask HOST PORT OTHER      prints what it found, as JSON
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'

const ROUNDS = 3

async function open(host) {
  const socket = createSocket(host !== undefined && isIPv6(host) ? 'udp6' : 'udp4')
  socket.bind(0, host)
  await once(socket, 'listening')
  return socket
}

async function serve(host) {
  const [one, other] = [await open(host), await open(host)]
  // The one answers with where it was asked from, and lets the other one speak to there first, unasked.
  one.on('message', (_, { address, port }) => {
    other.send('unasked', port, address, () => one.send(`${address} ${port}`, port, address))
  })
  other.on('message', (_, { address, port }) => other.send(`${address} ${port}`, port, address))
  process.stdout.write(`${one.address().port} ${other.address().port}\n`)
}

async function ask(host, port, other) {
  const socket = await open(isIPv6(host) ? '::' : '0.0.0.0')
  let unasked = false
  const answerOf = async (to) => {
    socket.send('ask', to, host)
    for (;;) {
      const [message, from] = await once(socket, 'message')
      if (message.toString() === 'unasked') unasked = true
      else if (from.port === to) return message.toString()
    }
  }
  const seen = []
  // Several times, as what comes unasked is not waited for.
  for (let round = 0; round < ROUNDS; round++) seen.push(await answerOf(port))
  const unaskedBefore = unasked
  seen.push(await answerOf(other))
  const local = socket.address().port
  socket.close()
  process.stdout.write(
    `${JSON.stringify({
      address: seen[0].split(' ')[0],
      keepsPort: new Set(seen).size === 1,
      preservesPort: Number(seen[0].split(' ')[1]) === local,
      letsIn: unaskedBefore,
    })}\n`,
  )
}

const [mode, host, ...ports] = process.argv.slice(2)
if (mode === 'serve') await serve(host)
else await ask(host, ...ports.map(Number))
