import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { NearportError } from '../shared/errors.ts'
import { encodeFrame, type Frame } from '../shared/frames.ts'
import { LIMITS } from '../shared/limits.ts'
import { Mux } from '../shared/mux.ts'
import type { MuxStream } from '../shared/stream.ts'
import { MemoryCarrier, muxPair, settle, sink } from './support/mux-pair.ts'

describe('a stream', () => {
  test('carries bytes both ways before any answer, and ends each direction by itself', async () => {
    const { access, accepted } = muxPair()
    const near = access.open()
    const nearSink = sink(near)
    near.write(Buffer.from('job'))
    near.end()
    await settle()
    const far = accepted[0] as MuxStream & { sink: ReturnType<typeof sink> }
    expect(far.sink.text()).toBe('job')
    expect(far.sink.ended).toBe(true)
    far.write(Buffer.from('printed'))
    far.end()
    await settle()
    expect(nearSink.text()).toBe('printed')
    expect(nearSink.ended).toBe(true)
    expect(nearSink.reset).toBeNull()
  })

  test('a reset arrives as a reset, with its code and text', async () => {
    const { access, accepted } = muxPair()
    const near = access.open()
    const nearSink = sink(near)
    near.write(Buffer.from('job'))
    await settle()
    accepted[0]?.reset('target-refused', '192.168.1.185:9100 refused')
    await settle()
    expect(nearSink.reset).toMatchObject({ code: 'target-refused', message: '192.168.1.185:9100 refused' })
  })

  test('opened and reset before anything left is never seen by the other side', async () => {
    const { access, accepted } = muxPair()
    access.open().reset('peer-reset', 'changed my mind')
    await settle()
    expect(accepted).toHaveLength(0)
    const next = access.open()
    next.write(Buffer.from('x'))
    await settle()
    expect(accepted).toHaveLength(1)
  })

  test.each([0, 1, 16_383, 16_384, 16_385, 65_520, 65_521, 65_535, 65_536, 65_537, 5_000_000])(
    '%i bytes arrive as they left, in both directions at once',
    async (size) => {
      const { access, accepted } = muxPair()
      const [up, down] = [randomBytes(size), randomBytes(size)]
      const near = access.open()
      const nearSink = sink(near)
      near.write(up)
      near.end()
      await settle()
      const far = accepted[0] as MuxStream & { sink: ReturnType<typeof sink> }
      far.write(down)
      far.end()
      await settle()
      expect(far.sink.bytes().equals(up)).toBe(true)
      expect(nearSink.bytes().equals(down)).toBe(true)
    },
  )

  test('the writer learns how much the far socket has taken, to the last byte once the job has ended', async () => {
    const { access, accepted } = muxPair({ autoTake: () => false })
    const near = access.open()
    const acknowledged: number[] = []
    near.onacknowledged = (bytes) => acknowledged.push(bytes)
    near.write(new Uint8Array(100_000))
    near.end()
    await settle()
    expect(acknowledged).toEqual([])
    accepted[0]?.taken(99_999)
    await settle()
    expect(acknowledged).toEqual([])
    accepted[0]?.taken(1)
    await settle()
    expect(acknowledged).toEqual([100_000])
    // What was taken as it came is told with the acknowledgement of the end.
    const quick = access.open()
    quick.onacknowledged = (bytes) => acknowledged.push(bytes)
    quick.write(new Uint8Array(10))
    await settle()
    accepted[1]?.taken(10)
    quick.end()
    await settle()
    expect(acknowledged).toEqual([100_000, 10])
  })

  test('a sink that takes nothing gets one window and no more; others keep moving', async () => {
    const { access, accepted } = muxPair({ autoTake: (index) => index !== 0 })
    const stalled = access.open()
    const lively = access.open()
    stalled.write(new Uint8Array(3_000_000))
    lively.write(new Uint8Array(3_000_000))
    await settle()
    expect(accepted[0]?.sink.length).toBe(LIMITS.initialWindow)
    expect(accepted[1]?.sink.length).toBe(3_000_000)
    accepted[0]?.taken(LIMITS.initialWindow)
    await settle()
    // One window taken, and a doubled one granted: a whole window was used and drained.
    expect(accepted[0]?.sink.length).toBe(3 * LIMITS.initialWindow)
  })

  test('write asks for a pause at LIMITS.streamQueue and drains', async () => {
    const { access } = muxPair()
    const near = access.open()
    let drained = 0
    near.ondrain = () => drained++
    expect(near.write(new Uint8Array(LIMITS.streamQueue - 1))).toBe(true)
    expect(near.write(new Uint8Array(1))).toBe(false)
    await settle()
    expect(drained).toBe(1)
  })

  test('a link takes no more streams than LIMITS.streamsPerTunnel', async () => {
    const { access, accepted } = muxPair()
    for (let i = 0; i < LIMITS.streamsPerTunnel; i++) access.open()
    await settle()
    expect(accepted).toHaveLength(LIMITS.streamsPerTunnel)
    expect(() => access.open()).toThrow(expect.objectContaining({ code: 'too-many-streams' }))
    accepted[7]?.reset('peer-reset', '')
    await settle()
    expect(() => access.open()).not.toThrow()
  })

  test('closing the mux resets every stream with the reason', async () => {
    const { access, share, accepted } = muxPair()
    const near = access.open()
    const nearSink = sink(near)
    await settle()
    const reason = new NearportError('link-lost', 'gone')
    access.close(reason)
    share.close(reason)
    expect(nearSink.reset).toBe(reason)
    expect(accepted[0]?.sink.reset).toBe(reason)
    expect(() => access.open()).toThrow(reason)
  })
})

describe('fairness', () => {
  test('a small job does not wait for a bulk one: deficit round robin over the streams of all shares', async () => {
    const pair = muxPair({ manual: true, highWater: 64 * 1024 })
    const bulk = pair.access.open()
    bulk.write(new Uint8Array(LIMITS.initialWindow))
    await settle()
    const small = pair.access.open()
    small.write(Buffer.from('receipt'))
    // The ping and at most two messages of the bulk stream go first: the one in the engine and the one of this round.
    for (let i = 0; i < 4; i++) await pair.deliverOne()
    expect(pair.accepted[1]?.sink.text()).toBe('receipt')
    expect(pair.accepted[0]?.sink.length).toBeLessThan(LIMITS.initialWindow)
  })

  test('equal streams get equal parts, whatever the size of what they write', async () => {
    const pair = muxPair({ manual: true, highWater: 64 * 1024 })
    const streams = Array.from({ length: 4 }, () => pair.access.open())
    await settle()
    streams.forEach((stream, index) => {
      const piece = 1000 * (index + 1)
      for (let sent = 0; sent < LIMITS.initialWindow; sent += piece) stream.write(new Uint8Array(piece))
    })
    while ((pair.accepted[3]?.sink.length ?? 0) < LIMITS.initialWindow / 2) await pair.deliverOne()
    const lengths = pair.accepted.map((stream) => stream.sink.length)
    expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(2 * LIMITS.quantum)
  })
})

describe('a peer that breaks the rules is cut off with a named error', () => {
  const receive = (...frames: Frame[]) => {
    const { share } = muxPair()
    for (const frame of frames) share.receive(encodeFrame(frame))
  }
  const open: Frame = { type: 'OPEN', stream: 1 }
  const data = (offset: number, length: number): Frame => ({
    type: 'DATA',
    stream: 1,
    offset,
    payload: new Uint8Array(length),
  })

  test.each<[string, string, Frame[]]>([
    ['DATA for a stream that is not open', 'frame-malformed', [data(0, 1)]],
    ['DATA with a gap', 'frame-malformed', [open, data(1, 1)]],
    ['DATA twice', 'frame-malformed', [open, data(0, 1), data(0, 1)]],
    ['a stream opened twice', 'frame-malformed', [open, open]],
    ['DATA after FIN', 'frame-malformed', [open, { type: 'FIN', stream: 1, offset: 0 }, data(0, 1)]],
    ['FIN at another offset', 'frame-malformed', [open, { type: 'FIN', stream: 1, offset: 9 }]],
    [
      'FIN twice',
      'frame-malformed',
      [open, { type: 'FIN', stream: 1, offset: 0 }, { type: 'FIN', stream: 1, offset: 0 }],
    ],
    ['CREDIT for bytes never sent', 'frame-malformed', [open, { type: 'CREDIT', stream: 1, taken: 1, window: 262144 }]],
    ['CREDIT taken back', 'frame-malformed', [open, { type: 'CREDIT', stream: 1, taken: 0, window: 1 }]],
    [
      'CREDIT beyond the largest window',
      'frame-malformed',
      [open, { type: 'CREDIT', stream: 1, taken: 0, window: 2 ** 31 }],
    ],
  ])('%s', (_, code, frames) => {
    expect(() => receive(...frames)).toThrow(expect.objectContaining({ code }))
  })

  test('more data than credit', () => {
    const { share } = muxPair({ autoTake: () => false })
    share.receive(encodeFrame(open))
    const piece = 65_000
    const overrun = () => {
      for (let at = 0; at <= LIMITS.initialWindow; at += piece) share.receive(encodeFrame(data(at, piece)))
    }
    expect(overrun).toThrow(expect.objectContaining({ code: 'credit-overrun' }))
  })

  test('the share side opens no streams', () => {
    const { access } = muxPair()
    expect(() => access.receive(encodeFrame(open))).toThrow(expect.objectContaining({ code: 'frame-malformed' }))
  })

  test('frames for a stream that has ended are dropped without a word', async () => {
    const { access, share, accepted } = muxPair()
    access.open()
    await settle()
    accepted[0]?.reset('peer-reset', '')
    expect(() => share.receive(encodeFrame(data(0, 5)))).not.toThrow()
  })
})

test('any interleaving of writes, ends and slow sinks delivers every byte in order', async () => {
  const job = fc.record({
    pieces: fc.array(fc.integer({ min: 1, max: 150_000 }), { maxLength: 8 }),
    slow: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(job, { minLength: 1, maxLength: 12 }), fc.boolean(), async (jobs, copies) => {
      const pair = muxPair({ manual: true, copies, highWater: 100_000, autoTake: (index) => !jobs[index]?.slow })
      const sent = jobs.map(({ pieces }) => {
        const stream = pair.access.open()
        const parts = pieces.map((size) => randomBytes(size))
        for (const part of parts) stream.write(part)
        stream.end()
        return Buffer.concat(parts)
      })
      while (await pair.deliverOne()) for (const stream of pair.accepted) stream.sink.takeSome()
      for (const [index, bytes] of sent.entries()) {
        expect(pair.accepted[index]?.sink.bytes().equals(bytes)).toBe(true)
        expect(pair.accepted[index]?.sink.ended).toBe(true)
      }
    }),
    { numRuns: 60 },
  )
})

test('a carrier that drained before its threshold was set does not stop the scheduler', async () => {
  const carrier = new MemoryCarrier()
  const { access } = muxPair({ carriers: [carrier, new MemoryCarrier()], highWater: 1000 })
  carrier.drainWhenArmed = true
  const near = access.open()
  near.write(new Uint8Array(200_000))
  await settle()
  expect(carrier.sentBytes).toBeGreaterThan(200_000)
  expect(Mux).toBeDefined()
})
