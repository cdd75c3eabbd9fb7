/** What a share finds out about its target, and that no job ever suffers from it: over real sockets, with the clock held. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { jest } from '@jest/globals'
import { dialCode } from '../peer/dial.ts'
import { Target, type TargetOptions } from '../peer/target.ts'
import { LIMITS } from '../shared/limits.ts'
import type { MuxStream } from '../shared/stream.ts'
import { muxPair, settle, sink } from './support/mux-pair.ts'
import { collectingLog } from './support/signaling.ts'
import { readAll, TcpTarget } from './support/tcp.ts'

const INTERVAL = 100_000
const cleanups: (() => unknown)[] = []

beforeEach(() => {
  jest.useFakeTimers({
    doNotFake: ['nextTick', 'setImmediate', 'clearImmediate', 'setInterval', 'clearInterval', 'queueMicrotask', 'Date'],
  })
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  jest.useRealTimers()
})

async function until(holds: () => boolean): Promise<void> {
  for (let turns = 0; !holds(); turns++) {
    if (turns > 100_000) throw new Error(`never came: ${holds}`)
    await settle()
    await turn()
  }
}

/** Whether a connection was reset: after the other side's FIN only a write tells. */
function isCutOff(socket: Socket): boolean {
  if (!socket.destroyed) socket.write('ready')
  return socket.destroyed
}

/** A printer that remembers its connections, and a target made of it. `answers` false: it keeps its end open. */
async function scene({ answers = true, ...options }: Partial<TargetOptions> & { answers?: boolean } = {}) {
  const connections: Socket[] = []
  const printer = await TcpTarget.start((socket) => {
    connections.push(socket)
    socket.resume().on('end', () => answers && socket.end())
  })
  const [host = '', port] = printer.address.split(':')
  const log = collectingLog()
  const address = { host, port: Number(port) }
  const target = new Target({ name: 'pc1', address, interval: INTERVAL, maxConnections: null, log, ...options })
  cleanups.push(() => printer.off())
  cleanups.push(() => target.stop())
  target.start()
  const health = () => target.status().health
  const said = () => log.entries.filter(({ message }) => message.startsWith('the target '))
  return { printer, connections, target, health, said, log }
}

/** A job, as a share hands it to its target. */
async function job(target: Target): Promise<{ near: MuxStream; sink: ReturnType<typeof sink> }> {
  const { access, accepted } = muxPair()
  const near = access.open()
  const answer = sink(near)
  await until(() => accepted.length === 1)
  const [far] = accepted
  if (far === undefined) throw new Error('the stream did not arrive')
  target.accept(far, 'till')
  return { near, sink: answer }
}

describe('a target without jobs', () => {
  test('is not known at first; a look connects, sends nothing, and ends in order', async () => {
    const { printer, target, health, said } = await scene()
    expect(health()).toEqual({ state: 'unknown', code: null, sinceMs: 0 })
    jest.advanceTimersByTime(LIMITS.healthInterval - 1)
    expect(health()).toMatchObject({ state: 'unknown', sinceMs: LIMITS.healthInterval - 1 })
    const look = printer.next()
    jest.advanceTimersByTime(1)
    const socket = await look
    expect(target.status().streams).toBe(0)
    expect((await readAll(socket)).length).toBe(0)
    socket.end()
    await until(() => health().state === 'up')
    jest.advanceTimersByTime(5000)
    expect(health()).toEqual({ state: 'up', code: null, sinceMs: 5000 })
    expect(said()).toMatchObject([
      { level: 'info', message: 'the target accepts connections', fields: { name: 'pc1' } },
    ])
  })

  test('is looked at each interval, sooner while it is down, and a change is said once', async () => {
    const { printer, connections, health, said } = await scene()
    await printer.off()
    jest.advanceTimersByTime(LIMITS.healthInterval)
    await until(() => health().state === 'down')
    expect(health().code).toBe('target-refused')
    await turn()
    jest.advanceTimersByTime(LIMITS.healthRetry)
    await turn()
    await printer.on()
    // The look that failed last has ended, or it ends now: the next one finds it.
    await until(() => {
      jest.advanceTimersByTime(LIMITS.healthRetry)
      return health().state === 'up'
    })
    await until(() => printer.open === 0)
    await turn()
    const before = connections.length
    jest.advanceTimersByTime(INTERVAL - 1)
    await turn()
    expect(connections.length).toBe(before)
    jest.advanceTimersByTime(1)
    await until(() => connections.length === before + 1)
    expect(said().map(({ level, fields }) => [level, fields.code])).toEqual([
      ['warn', 'target-refused'],
      ['info', undefined],
    ])
  })

  test('that keeps the connection of a look is cut off', async () => {
    const { printer, health } = await scene({ answers: false })
    const look = printer.next()
    jest.advanceTimersByTime(LIMITS.healthInterval)
    const socket = await look
    expect((await readAll(socket)).length).toBe(0)
    await until(() => health().state === 'up')
    expect(printer.open).toBe(1)
    jest.advanceTimersByTime(LIMITS.healthClose)
    await until(() => isCutOff(socket))
    expect(health().state).toBe('up')
  })

  test('is left alone when nobody is to look, whatever jobs find', async () => {
    const { connections, target, health, said } = await scene({ interval: 0 })
    jest.advanceTimersByTime(86_400_000)
    const { near, sink } = await job(target)
    near.end()
    await until(() => sink.ended)
    expect(connections.length).toBe(1)
    expect(health()).toMatchObject({ state: 'off', code: null })
    expect(said()).toEqual([])
  })

  test('is left alone once it is served no longer', async () => {
    const { connections, target, health } = await scene()
    target.stop()
    jest.advanceTimersByTime(10 * INTERVAL)
    await turn()
    expect(connections).toEqual([])
    expect(health().state).toBe('unknown')
  })
})

describe('jobs', () => {
  test('are what tells, and a target is not looked at while one is under way or waits', async () => {
    const { connections, target, health } = await scene({ maxConnections: 1 })
    const [first, second] = [await job(target), await job(target)]
    await until(() => health().state === 'up')
    expect(target.status()).toMatchObject({ streams: 1, queued: 1 })
    jest.advanceTimersByTime(10 * INTERVAL)
    await turn()
    first.near.end()
    await until(() => first.sink.ended)
    await until(() => connections.length === 2)
    expect(target.status()).toMatchObject({ streams: 1, queued: 0 })
    jest.advanceTimersByTime(10 * INTERVAL)
    await turn()
    expect(connections.length).toBe(2)
    second.near.end()
    await until(() => target.status().streams === 0)
    jest.advanceTimersByTime(INTERVAL - 1)
    await turn()
    expect(connections.length).toBe(2)
    jest.advanceTimersByTime(1)
    await until(() => connections.length === 3)
  })

  test('that are refused say so, and the next look comes soon', async () => {
    const { printer, target, health, said } = await scene()
    await printer.off()
    const { sink } = await job(target)
    await until(() => sink.reset !== null)
    expect(sink.reset).toMatchObject({ code: 'target-refused' })
    expect(health()).toMatchObject({ state: 'down', code: 'target-refused' })
    await until(() => target.status().streams === 0)
    await printer.on()
    jest.advanceTimersByTime(LIMITS.healthRetry)
    await until(() => health().state === 'up')
    expect(said().length).toBe(2)
  })

  test('that are cut off by a target which took them do not say that it is down', async () => {
    const { connections, target, health } = await scene()
    const { sink } = await job(target)
    await until(() => health().state === 'up')
    await until(() => connections.length === 1)
    connections[0]?.resetAndDestroy()
    await until(() => sink.reset !== null)
    expect(health()).toMatchObject({ state: 'up', code: null })
  })

  test('count what the target took and gave', async () => {
    const { printer, target } = await scene()
    printer.onconnection = (socket) => socket.resume().on('end', () => socket.end('four'))
    for (const text of ['a job', 'another']) {
      const { near, sink } = await job(target)
      near.write(Buffer.from(text))
      near.end()
      await until(() => sink.ended)
    }
    expect(target.status()).toMatchObject({ toTarget: 12, fromTarget: 8 })
  })
})

describe('a job that comes under a look', () => {
  test.each([
    ['with one place', 1],
    ['with no bound', null],
  ])('takes its place at once, %s', async (_, maxConnections) => {
    const { printer, target, log, health } = await scene({ answers: false, maxConnections })
    const look = printer.next()
    jest.advanceTimersByTime(LIMITS.healthInterval)
    const looking = await look
    await until(() => health().state === 'up')
    await turn()
    const arrived = printer.next()
    const { near, sink: answer } = await job(target)
    expect(target.status()).toMatchObject({ streams: 1, queued: 0 })
    const printing = await arrived
    // The kernel of the printer has been rid of the look since before the job connected.
    const stale = await new Promise((resolve) => looking.write('ready', resolve))
    expect(stale).toMatchObject({ code: expect.stringMatching(/^(EPIPE|ECONNRESET)$/) })
    let read = ''
    printing.on('data', (bytes) => {
      read += bytes
    })
    near.write(Buffer.from('a job'))
    near.end()
    await until(() => read === 'a job' && printing.readableEnded)
    printing.end('printed')
    await until(() => answer.ended)
    expect(answer.text()).toBe('printed')
    expect(log.entries.some(({ message }) => message.startsWith('connection queued'))).toBe(false)
  })

  test('is not told what became of the look, nor is the look after it hurried', async () => {
    const { printer, connections, target, health } = await scene()
    jest.advanceTimersByTime(LIMITS.healthInterval)
    const { near } = await job(target)
    await until(() => health().state === 'up')
    near.reset('peer-reset', 'the till gave up')
    await until(() => target.status().streams === 0)
    await until(() => printer.open === 0)
    const before = connections.length
    jest.advanceTimersByTime(INTERVAL - 1)
    await turn()
    expect(connections.length).toBe(before)
  })
})

// A Linux kernel lets one connection more than the backlog wait, and answers no further ones.
const testOnLinux = process.platform === 'linux' ? test : test.skip

testOnLinux('a target that does not answer is down as well', async () => {
  const script = `
    const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      require('node:fs').writeSync(1, String(server.address().port))
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    })`
  const deaf = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  cleanups.push(() => deaf.kill('SIGKILL'))
  const [text] = (await once(deaf.stdout, 'data')) as [Buffer]
  const address = { host: '127.0.0.1', port: Number(text) }
  const waiting = [connect(address), connect(address)]
  cleanups.push(() => waiting.map((socket) => socket.destroy()))
  await Promise.all(waiting.map((socket) => once(socket, 'connect')))
  const { target, health } = await scene({ address })
  jest.advanceTimersByTime(LIMITS.healthInterval)
  expect(health().state).toBe('unknown')
  jest.advanceTimersByTime(LIMITS.dialDeadline)
  await until(() => health().state === 'down')
  expect(health().code).toBe('target-timeout')
  // The next look is given up for a job while it is still connecting, and says nothing.
  await turn()
  jest.advanceTimersByTime(LIMITS.healthRetry)
  const { sink: answer } = await job(target)
  jest.advanceTimersByTime(LIMITS.dialDeadline)
  await until(() => answer.reset !== null)
  expect(answer.reset).toMatchObject({ code: 'target-timeout' })
})

test.each([
  ['ECONNREFUSED', 'target-refused'],
  ['ETIMEDOUT', 'target-timeout'],
  ['EHOSTUNREACH', 'target-unreachable'],
  ['ENOTFOUND', 'target-unreachable'],
])('%s means %s', (code, expected) => {
  expect(dialCode(Object.assign(new Error('dial'), { code }))).toBe(expected)
})
