/** What a link puts into one message, and for what it waits. */
import { decodeFrames, encodeFrame, type Frame } from '../shared/frames.ts'
import { LIMITS } from '../shared/limits.ts'
import { Mux, StreamCount } from '../shared/mux.ts'
import { Scheduler } from '../shared/scheduler.ts'
import type { MuxStream } from '../shared/stream.ts'
import { WindowBudget } from '../shared/window-budget.ts'
import { MemoryCarrier } from './support/mux-pair.ts'

describe('what leaves together', () => {
  const open = (stream: number): Frame => ({ type: 'OPEN', stream })
  const data: Frame = { type: 'DATA', stream: 1, offset: 0, payload: Buffer.from('job') }
  const fin = (stream: number, offset: number): Frame => ({ type: 'FIN', stream, offset })
  const all = (...frames: Frame[]) => Buffer.concat(frames.map(encodeFrame))

  /** A mux of which the test ends the turns. */
  function turning() {
    const ends: (() => void)[] = []
    const waiting: (() => void)[] = []
    const carrier = new MemoryCarrier()
    const accepted: MuxStream[] = []
    const make = (accept: ((stream: MuxStream) => void) | null) => {
      const mux = new Mux({ budget: new WindowBudget(), count: new StreamCount() }, accept)
      const scheduler = new Scheduler(
        64 * 1024,
        (run) => ends.push(run),
        (run) => waiting.push(run),
      )
      mux.attach(scheduler.addLane(carrier), false)
      mux.start()
      return mux
    }
    return {
      carrier,
      waiting,
      accepted,
      access: () => make(null),
      share: () => make((stream) => accepted.push(stream)),
      endTurn: () => {
        for (const end of ends.splice(0)) end()
      },
      /** The kinds of frames of each message since the last call. */
      left: () => carrier.queue.splice(0).map((message) => [...decodeFrames(message)].map(({ type }) => type)),
    }
  }

  test('a new connection and what its program sends at once, or in the next turn', () => {
    const { access, endTurn, left } = turning()
    const mux = access()
    mux.open().write(Buffer.from('one'))
    const second = mux.open()
    mux.open()
    endTurn()
    expect(left()).toEqual([['OPEN', 'OPEN', 'OPEN', 'PING', 'DATA']])
    endTurn()
    const fourth = mux.open()
    endTurn()
    expect(left()).toEqual([])
    second.write(Buffer.from('two'))
    fourth.write(Buffer.from('four'))
    endTurn()
    expect(left()).toEqual([['OPEN', 'DATA', 'DATA']])
  })

  test('what asks for the round trip, and little else: the answer would be late', () => {
    const { access, carrier, endTurn } = turning()
    access().open().write(new Uint8Array(20_000))
    endTurn()
    const [first, second] = carrier.queue
    expect([...decodeFrames(first ?? new Uint8Array())].map(({ type }) => type)).toEqual(['OPEN', 'PING', 'DATA'])
    expect(first?.length).toBeLessThan(LIMITS.pingData + 100)
    expect([...decodeFrames(second ?? new Uint8Array())].map(({ type }) => type)).toEqual(['DATA'])
  })

  test('a new connection of which the program sends nothing leaves with the next turn', () => {
    const { access, endTurn, left } = turning()
    access().open()
    endTurn()
    expect(left()).toEqual([])
    endTurn()
    expect(left()).toEqual([['OPEN']])
  })

  test('an acknowledgement, and whatever is sent soon after it', () => {
    const { share, accepted, waiting, endTurn, left } = turning()
    const mux = share()
    mux.receive(all(open(1), data, fin(1, 3), open(2), fin(2, 0)))
    accepted[0]?.taken(3)
    endTurn()
    expect(left()).toEqual([])
    expect(waiting).toHaveLength(1)
    accepted[0]?.end()
    endTurn()
    expect(left()).toEqual([['CREDIT', 'ACK', 'ACK', 'PING', 'FIN']])
    mux.receive(all(open(3), fin(3, 0)))
    waiting[0]?.()
    endTurn()
    expect(left()).toEqual([['ACK']])
  })
})
