/**
 * A TCP relay, and no more: what comes in on its ports goes to the targets. A process of its own.
 *
 *     node relay-end.js PORT…
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** What the one gets the other is given, as fast as it takes it; an end, too. */
function carry(from: Socket, to: Socket): void {
  from.on('data', (bytes) => {
    if (!to.write(bytes)) from.pause()
  })
  to.on('drain', () => from.resume())
  from.on('end', () => to.end())
  from.on('error', () => to.resetAndDestroy())
}

const servers = process.argv.slice(2).map((target) =>
  createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ port: Number(target), host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    carry(near, far)
    carry(far, near)
  }).listen(0, '127.0.0.1'),
)
await Promise.all(servers.map((server) => once(server, 'listening')))
process.stdout.write(`${JSON.stringify(servers.map((server) => (server.address() as AddressInfo).port))}\n`)
