// A till in a web page: open it as examples/till.html#KEY on the signaling server, or host it yourself (docs/browser.md).
import { connect } from '../browser.js'

const $ = (id) => document.getElementById(id)
const say = (text) => {
  $('status').textContent = text
}

/** ESC/POS: reset, text, feed four lines, cut. */
function receipt(text) {
  const commands = [0x1b, 0x40, ...new TextEncoder().encode(`${text}\n`), 0x1b, 0x64, 4, 0x1d, 0x56, 0]
  return Uint8Array.from(commands)
}

/** ZPL: one label with the text in it; ^ and ~ would begin commands. */
function label(text) {
  const lines = text.replaceAll(/[\^~]/g, ' ').replaceAll('\n', '\\&')
  return new TextEncoder().encode(`^XA^CI28^CF0,40^FO40,40^FB700,8,8^FD${lines}^FS^XZ`)
}

/** Sends a job, and returns what the printer answers. Rejects when it is not printed. */
async function print(network, printer, job) {
  const connection = await network.open(printer)
  connection.acknowledged.subscribe((bytes) => {
    $('progress').value = bytes / job.length
  })
  const answer = new Response(connection.readable).text()
  const writer = connection.writable.getWriter()
  await Promise.all([writer.write(job), writer.close()])
  return answer
}

/** The key of the network stands after # in the address of this page, and never leaves the browser. */
const network = await connect({ invite: new URL(`../${location.hash}`, location.href) }).catch((error) => {
  say(`${error.message}: ${error.next}`)
  throw error
})
network.state().subscribe((connected) => say(connected ? 'connected' : 'the server is away; what is open goes on'))
network.shares().subscribe((shares) => {
  $('printers').replaceChildren(...shares.map(({ name }) => new Option(name)))
})

$('till').addEventListener('submit', async (event) => {
  event.preventDefault()
  say('printing')
  try {
    const make = $('kind').value === 'label' ? label : receipt
    $('answer').textContent = await print(network, $('printer').value, make($('text').value))
    say('printed')
  } catch (error) {
    say(`not printed: ${error.message}. Next: ${error.next ?? 'try again'}`)
  }
})
