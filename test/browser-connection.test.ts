/** A connection of a page, of which the page reads slowly or not at all. Web streams are the same in Node. */
import { LIMITS } from '../shared/limits.ts'
import { StreamConnection } from '../web/browser/connection.ts'
import { heapUsed } from './support/heap.ts'
import { muxPair } from './support/mux-pair.ts'

const MIB = 1024 * 1024

/** A byte that is part of a whole message, as a payload is. */
const crumb = (mark: number): Uint8Array => new Uint8Array(LIMITS.messageBytes).fill(mark).subarray(100, 101)

test('single bytes that nobody reads do not hold their messages, and come as they were', async () => {
  const stream = muxPair().access.open()
  const { readable } = new StreamConnection('printer', stream)
  const before = heapUsed()
  const sent = Array.from({ length: 2000 }, (_, n) => n % 256)
  for (const mark of sent) stream.ondata(crumb(mark))
  expect(heapUsed() - before).toBeLessThan(MIB)
  stream.onend()
  expect([...new Uint8Array(await new Response(readable).arrayBuffer())]).toEqual(sent)
})

test("a page that keeps a single byte keeps no message, and gets memory that is nobody else's", async () => {
  const stream = muxPair().access.open()
  const reader = new StreamConnection('printer', stream).readable.getReader()
  const message = new Uint8Array(LIMITS.messageBytes)
  const pieces: Uint8Array[] = []
  for (const at of [100, 200]) {
    const asked = reader.read()
    // The stream asks for more a turn later.
    await Promise.resolve()
    stream.ondata(message.subarray(at, at + 1))
    pieces.push((await asked).value ?? new Uint8Array())
  }
  expect(pieces.map(({ length }) => length)).toEqual([1, 1])
  for (const { buffer } of pieces) expect(buffer.byteLength).toBe(1)
})

test('a write under way fails when the page gives up, also in the turn in which there is room again', async () => {
  const stream = muxPair({ manual: true }).access.open()
  const connection = new StreamConnection('printer', stream)
  const written = connection.writable
    .getWriter()
    .write(new Uint8Array(4 * MIB))
    .then(
      () => 'written',
      (error) => error.code,
    )
  // The stream takes writes a turn later, and is full then.
  await new Promise(setImmediate)
  stream.ondrain()
  connection.abort('cancelled')
  expect(await written).toBe('peer-reset')
})
