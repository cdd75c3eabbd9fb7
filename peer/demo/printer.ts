/**
 * A small receipt printer, simulated: it takes one connection at a time, prints each job as text once the job has
 * ended, and then answers on the same connection.
 *
 *     node printer.js NAME HOST:PORT
 */
import { createServer, type Socket } from 'node:net'
import { finished } from 'node:stream/promises'
import { asNearportError } from '../../shared/errors.ts'
import { formatHostPort, type HostPort, parseHostPort } from '../../shared/hostport.ts'
import { safeText } from '../../shared/safe-text.ts'

/** Bytes of a job that are kept for printing; the rest is only counted. */
const KEPT = 1024 * 1024

const [ESC, GS] = [0x1b, 0x1d]
/** Bytes of arguments after the two bytes of an ESC/POS command; most have one, these differ. */
const NO_ARGUMENT: ReadonlySet<number> = new Set([...'@2<'].map((char) => char.charCodeAt(0)))

/** The text of an ESC/POS job: without commands, and with nothing in it that a terminal would act on. */
function receiptText(job: Uint8Array): string {
  const text: number[] = []
  for (let at = 0; at < job.length; at++) {
    const byte = job[at] ?? 0
    if (byte === ESC || byte === GS) at += NO_ARGUMENT.has(job[at + 1] ?? 0) ? 1 : 2
    else text.push(byte)
  }
  const lines = new TextDecoder().decode(Uint8Array.from(text)).split(/\r?\n/)
  return lines.map(safeText).join('\n')
}

interface Job {
  readonly text: string
  readonly bytes: number
}

/** Resolves when the sender has ended its direction; ours is still open then. Rejects when it is cut off. */
async function receive(socket: Socket): Promise<Job> {
  const kept: Buffer[] = []
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    if (bytes < KEPT) kept.push(chunk.subarray(0, KEPT - bytes))
    bytes += chunk.length
  })
  socket.resume()
  await finished(socket, { writable: false })
  return { text: receiptText(Buffer.concat(kept)), bytes }
}

function startPrinter(name: string, address: HostPort): void {
  const say = (line: string) => process.stdout.write(`[printer ${name}] ${line}\n`)
  const serve = async (socket: Socket) => {
    try {
      const { text, bytes } = await receive(socket)
      // Someone only wanted to know whether we are here.
      if (bytes === 0) {
        socket.end()
        return
      }
      for (const line of text.split('\n').filter((line) => line !== '')) say(`| ${line}`)
      say(`job of ${bytes} bytes printed`)
      await new Promise<void>((resolve) => socket.end(`OK ${name} ${bytes} bytes\n`, resolve))
    } catch (error) {
      say(`job lost: ${asNearportError(error).message}`)
      socket.destroy()
    }
  }
  // Others wait for their turn, as they would in the backlog of a printer.
  let turn = Promise.resolve()
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    // Seen when it is read; a sender that goes away while it waits must not end the printer.
    socket.on('error', () => socket.destroy())
    turn = turn.then(() => serve(socket))
  })
  server.once('error', (error) => {
    process.stderr.write(`printer ${name}: ${error.message}\n`)
    process.exit(1)
  })
  server.listen(address, () => {
    const bound = server.address()
    const port = bound === null || typeof bound === 'string' ? address.port : bound.port
    say(`listens on ${formatHostPort({ host: address.host, port })}`)
  })
}

const [name, address] = process.argv.slice(2)
if (name === undefined || address === undefined) {
  process.stderr.write('usage: printer.js NAME HOST:PORT\n')
  process.exit(2)
}
startPrinter(name, parseHostPort(address, 'target-invalid', { port0: true }))
