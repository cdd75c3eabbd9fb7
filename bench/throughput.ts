/**
 * Bulk throughput of one connection through nearport, as a ratio to the bare data channel of the same engine at its
 * best settings, in the same run: rounds of bare-up, near-up, bare-down, near-down, medians of the ratios.
 *
 *     npm run bench -- [--mib 256] [--rounds 5] [--engine native,werift]
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const MIB = 1024 * 1024
const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '256' },
    rounds: { type: 'string', default: '5' },
    engine: { type: 'string', default: 'native,werift' },
  },
})
const cli = fileURLToPath(new URL('../cli.js', import.meta.url))

/** Two processes joined by a bare channel; `run` moves bytes one way and gives the seconds. */
async function bareChannel(engine: string) {
  const file = fileURLToPath(new URL('bare-channel.js', import.meta.url))
  const ends = ['initiator', 'acceptor'].map((role) => fork(file, [engine, role])) as [ChildProcess, ChildProcess]
  const opened = ends.map((end) => message(end, 'open'))
  ends.forEach((end, index) => {
    end.on('message', (said: object) => 'signal' in said && ends[1 - index]?.send(said))
  })
  await Promise.all(opened)
  return {
    run: async (direction: 'up' | 'down', bytes: number) => {
      const [from, to] = direction === 'up' ? ends : [ends[1], ends[0]]
      const done = message(to, 'done')
      to.send({ expect: bytes })
      const begin = performance.now()
      from.send({ send: bytes })
      await done
      return (performance.now() - begin) / 1000
    },
    close: () => {
      for (const end of ends) end.disconnect()
    },
  }
}

function message(child: ChildProcess, key: string): Promise<void> {
  return new Promise((resolve) => {
    const look = (said: object) => {
      if (!(key in said)) return
      child.off('message', look)
      resolve()
    }
    child.on('message', look)
  })
}

/** A whole nearport: signaling, share and access as processes, with a TCP source and sink here. */
async function tunnel(engine: string) {
  const home = await mkdtemp(join(tmpdir(), 'nearport-bench-'))
  const children: ChildProcess[] = []
  const start = async (name: string, args: string[], link?: string) => {
    const env = { ...process.env, NEARPORT_HOME: join(home, name), NEARPORT_LOG_LEVEL: 'warn' }
    const child = spawn(process.execPath, [cli, ...args], {
      env: link === undefined ? env : { ...env, NEARPORT_LINK: link },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    return line.toString().trim()
  }
  const target = await targetServer()
  const link = (await start('signal', ['signal', '--listen', '127.0.0.1:0'])).replace('nearport enable ', '')
  const where = `127.0.0.1:${target.port}`
  await start('share', ['share', 'private', where, '--unique-name', 'bench', '--engine', engine], link)
  const access = ['access', 'private', 'bench', '--bind', '127.0.0.1:0', '--engine', engine, '--json']
  const { binds } = JSON.parse(await start('access', access, link)) as { binds: { bind: string }[] }
  const port = Number(binds[0]?.bind.split(':')[1])
  return {
    run: async (direction: 'up' | 'down', bytes: number) => {
      const begin = performance.now()
      await target.exchange(connect(port, '127.0.0.1'), direction, bytes)
      return (performance.now() - begin) / 1000
    },
    close: async () => {
      target.server.close()
      for (const child of children) child.kill()
      await Promise.all(children.map((child) => child.exitCode ?? once(child, 'exit')))
      await rm(home, { recursive: true })
    },
  }
}

/** The target says nothing and counts, or sends as many bytes as its first 8 bytes ask for. */
async function targetServer() {
  let arrived: { left: number; done: () => void } | null = null
  const server: Server = createServer((socket) => {
    socket.once('data', (first) => {
      const wanted = Number(first.readBigUInt64BE())
      if (wanted > 0) sendAll(socket, wanted)
      else count(socket, first.length - 8)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const count = (socket: Socket, early: number) => {
    const take = (bytes: number) => {
      if (arrived === null) return
      arrived.left -= bytes
      if (arrived.left <= 0) arrived.done()
    }
    take(early)
    socket.on('data', (bytes) => take(bytes.length))
  }
  const exchange = async (socket: Socket, direction: 'up' | 'down', bytes: number) => {
    const head = Buffer.alloc(8)
    if (direction === 'down') head.writeBigUInt64BE(BigInt(bytes))
    const done = new Promise<void>((resolve) => {
      arrived = { left: bytes, done: resolve }
    })
    socket.write(head)
    if (direction === 'up') sendAll(socket, bytes)
    else count(socket, 0)
    await done
    socket.resume()
    socket.end()
    await once(socket, 'close')
  }
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the target has no port')
  return { server, port: address.port, exchange }
}

function sendAll(socket: Socket, bytes: number): void {
  const chunk = Buffer.alloc(256 * 1024)
  let left = bytes
  const fill = () => {
    for (let more = true; more && left > 0; ) {
      const size = Math.min(left, chunk.length)
      left -= size
      more = socket.write(size === chunk.length ? chunk : chunk.subarray(0, size))
    }
  }
  socket.on('drain', fill)
  fill()
}

const median = (numbers: number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN

console.log('| engine | direction | bare MB/s | nearport MB/s | ratio (median) | ratios |')
console.log('| --- | --- | --- | --- | --- | --- |')
for (const engine of values.engine.split(',')) {
  const bytes = Number(values.mib) * MIB
  const [bare, near] = [await bareChannel(engine), await tunnel(engine)]
  for (const direction of ['up', 'down'] as const) {
    const rounds: { bare: number; near: number }[] = []
    // The first round of each warms up.
    for (let round = 0; round <= Number(values.rounds); round++) {
      const pair = { bare: await bare.run(direction, bytes), near: await near.run(direction, bytes) }
      if (round > 0) rounds.push(pair)
    }
    const ratios = rounds.map((round) => round.bare / round.near)
    const rate = (seconds: number[]) => (bytes / 1e6 / median(seconds)).toFixed(1)
    const cells = [
      engine,
      direction,
      rate(rounds.map((round) => round.bare)),
      rate(rounds.map((round) => round.near)),
      median(ratios).toFixed(2),
      ratios.map((ratio) => ratio.toFixed(2)).join(' '),
    ]
    console.log(`| ${cells.join(' | ')} |`)
  }
  bare.close()
  await near.close()
}
