/** Real programs through a bind. What is not installed is skipped with its name, and fails where CI is set. */

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Child, type ChildOptions } from '../peer/demo/child.ts'
import { readAll, sha256, TcpTarget } from './support/tcp.ts'
import { type Access, type Network, startNetwork } from './support/tunnel.ts'

const MIB = 1024 * 1024
const LOCKS = '/var/lock/p910nd'
const CUPS_SOCKET = ['/usr/lib/cups/backend/socket', '/usr/libexec/cups/backend/socket']

/** Full paths, as sshd insists on one; daemons are often not in a user's PATH. */
function find(program: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/sbin']
  return folders.map((folder) => join(folder, program)).find(existsSync)
}

interface Needed {
  readonly path: string | undefined
  /** What to install, by the name Debian gives it. */
  readonly install: string
}

const NEEDED = {
  nc: { path: find('nc'), install: 'netcat-openbsd' },
  socket: { path: CUPS_SOCKET.find(existsSync), install: 'cups' },
  p910nd: { path: find('p910nd'), install: 'p910nd' },
  sshd: { path: find('sshd'), install: 'openssh-server' },
  ssh: { path: find('ssh'), install: 'openssh-client' },
  'ssh-keygen': { path: find('ssh-keygen'), install: 'openssh-client' },
  iperf3: { path: find('iperf3'), install: 'iperf3' },
  'redis-server': { path: find('redis-server'), install: 'redis-server' },
  'redis-benchmark': { path: find('redis-benchmark'), install: 'redis-tools' },
} satisfies Record<string, Needed>
type Program = keyof typeof NEEDED

const path = (program: Program): string => NEEDED[program].path ?? program

/** A test that needs programs; a CI that lacks them fails instead of testing less. */
function needing(programs: readonly Program[], title: string, body: () => Promise<void>): void {
  const missing = programs.filter((program) => NEEDED[program].path === undefined)
  const packages = [...new Set(missing.map((program) => NEEDED[program].install))]
  const lacks = `needs ${missing.join(', ')}: apt-get install ${packages.join(' ')}`
  if (missing.length === 0) {
    test(title, body)
  } else if (!process.env.CI) {
    test.skip(`${title} (${lacks})`, body)
  } else {
    test(title, () => {
      throw new Error(lacks)
    })
  }
}

let folder: string
let network: Network
const services: Child[] = []
const cleanups: (() => Promise<void>)[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nearport-programs-'))
  network = await startNetwork()
})

afterAll(async () => {
  await network?.stop()
  for (const service of services) await service.stop()
  for (const cleanup of cleanups) await cleanup()
  await rm(folder, { recursive: true, force: true })
})

/** A program that serves until the end of the tests. */
function service(program: Program, args: readonly string[], options: ChildOptions = {}): Child {
  const child = new Child(program, args, { program: path(program), ...options })
  services.push(child)
  return child
}

/** A program that ends by itself, with 0. Returns what it printed. */
async function run(program: Program, args: readonly string[], options: ChildOptions = {}): Promise<string> {
  const child = new Child(program, args, { program: path(program), ...options })
  services.push(child)
  const { code } = await child.ended
  const said = [...child.stdout, ...child.stderr].join('\n')
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${said}`)
  return said
}

/** Shares a target, and returns the local port of it. */
async function through(name: string, address: string): Promise<number> {
  await network.share({ [name]: address })
  const access: Access = await network.access([name])
  return access.ports[name] ?? 0
}

/** A folder that a daemon insists on, and that only its service makes, when that is started. */
async function systemFolder(path: string): Promise<void> {
  if (existsSync(path)) return
  await mkdir(path, { mode: 0o755 })
  cleanups.push(() => rm(path, { recursive: true }))
}

async function freePort(): Promise<number> {
  const target = await TcpTarget.start((socket) => socket.destroy())
  await target.off()
  return target.port
}

describe('nc', () => {
  needing(['nc'], 'printf job | nc -N receives what the printer answers after the end of the job', async () => {
    const printer = await TcpTarget.start(async (socket) => {
      const job = await readAll(socket)
      socket.end(`printed ${job.length} bytes\n`)
    })
    cleanups.push(() => printer.off())
    const port = await through('answers', printer.address)
    expect(await run('nc', ['-N', '127.0.0.1', String(port)], { input: 'a job' })).toBe('printed 5 bytes')
  })

  needing(['nc'], 'an nc that listens behind the tunnel ends with the job it got', async () => {
    const wanted = await freePort()
    // -v says on stderr when it listens.
    const printer = service('nc', ['-v', '-N', '-l', '127.0.0.1', String(wanted)])
    await printer.until('its port', ({ stderr }) => stderr.find((line) => line.startsWith('Listening')))
    const port = await through('listens', `127.0.0.1:${wanted}`)
    await run('nc', ['-N', '127.0.0.1', String(port)], { input: 'line one\nline two\n' })
    expect((await printer.ended).code).toBe(0)
    expect(printer.stdout).toEqual(['line one', 'line two'])
  })
})

describe('CUPS', () => {
  needing(['socket', 'p910nd'], 'the socket backend prints into p910nd', async () => {
    const paper = join(folder, 'paper')
    await writeFile(paper, '')
    const { port: daemon, jobs } = await printDaemon(paper)
    const port = await through('cups', `127.0.0.1:${daemon}`)
    const job = join(folder, 'job.ps')
    const pages = randomBytes(3 * MIB)
    await writeFile(job, pages)
    const env = { DEVICE_URI: `socket://127.0.0.1:${port}` }
    const said = await run('socket', ['1', 'user', 'title', '1', '', job], { env })
    expect(said).not.toMatch(/ERROR/)
    expect(await jobs()).toEqual([0])
    expect(sha256(await readFile(paper))).toBe(sha256(pages))

    // The backend makes the copies itself.
    await writeFile(paper, '')
    await run('socket', ['2', 'user', 'title', '2', '', job], { env })
    await jobs()
    expect(sha256(await readFile(paper))).toBe(sha256(Buffer.concat([pages, pages])))
  })
})

/**
 * p910nd as inetd runs it, one process for each connection: by itself it listens on ports 9100 to 9109 only. It is
 * told to be the last of those, as it locks its number for the whole system.
 */
async function printDaemon(device: string): Promise<{ port: number; jobs: () => Promise<(number | null)[]> }> {
  await systemFolder(LOCKS)
  const jobs: Promise<number | null>[] = []
  const server: Server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket: Socket) => {
    const daemon = spawn(path('p910nd'), ['-b', '-f', device, '9'], { stdio: [socket, socket, 'inherit'] })
    jobs.push(once(daemon, 'exit').then(([code]) => code as number | null))
    // The process has it now.
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(async () => {
    server.close()
    await once(server, 'close')
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('p910nd has no port')
  return { port: address.port, jobs: () => Promise.all(jobs.splice(0)) }
}

describe('ssh', () => {
  needing(['sshd', 'ssh', 'ssh-keygen'], 'a session carries 8 MiB there and back', async () => {
    const port = await through('ssh', `127.0.0.1:${await sshServer()}`)
    const key = join(folder, 'user-key')
    const options = ['StrictHostKeyChecking=no', `UserKnownHostsFile=${join(folder, 'known')}`, 'LogLevel=ERROR']
    const args = ['-F', 'none', '-i', key, '-p', String(port), ...options.flatMap((option) => ['-o', option])]
    const text = randomBytes(6 * MIB).toString('base64')
    const echoed = await run('ssh', [...args, `${userInfo().username}@127.0.0.1`, 'cat'], { input: text })
    expect(sha256(Buffer.from(echoed))).toBe(sha256(Buffer.from(text)))
  })
})

/** An sshd of this user, with keys of its own; returns its port. */
async function sshServer(): Promise<number> {
  for (const name of ['host-key', 'user-key'])
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)])
  await writeFile(join(folder, 'authorized'), await readFile(join(folder, 'user-key.pub')))
  if (userInfo().uid === 0) await systemFolder('/run/sshd')
  const port = await freePort()
  const config = [
    'ListenAddress 127.0.0.1',
    `Port ${port}`,
    `HostKey ${join(folder, 'host-key')}`,
    `AuthorizedKeysFile ${join(folder, 'authorized')}`,
    `PidFile ${join(folder, 'sshd.pid')}`,
    'UsePAM no',
    'StrictModes no',
    'PasswordAuthentication no',
    'PermitRootLogin yes',
  ]
  await writeFile(join(folder, 'sshd_config'), `${config.join('\n')}\n`)
  const sshd = service('sshd', ['-D', '-e', '-f', join(folder, 'sshd_config')])
  await sshd.until('its port', ({ stderr }) => stderr.find((line) => line.startsWith('Server listening')))
  return port
}

describe('iperf3', () => {
  let port: number

  const iperf = async (...args: string[]) => {
    if (port === undefined) {
      const wanted = await freePort()
      const server = service('iperf3', ['-s', '-B', '127.0.0.1', '-p', String(wanted), '--forceflush'])
      await server.until('its port', ({ stdout }) => stdout.find((line) => line.startsWith('Server listening')))
      port = await through('iperf', `127.0.0.1:${wanted}`)
    }
    const { end } = JSON.parse(await run('iperf3', ['-c', '127.0.0.1', '-p', String(port), '-J', ...args]))
    return end as { sum_sent: { bytes: number }; sum_received: { bytes: number } }
  }

  needing(['iperf3'], '-P 8 sends 64 MiB over eight connections', async () => {
    const { sum_sent } = await iperf('-P', '8', '-n', '64M')
    expect(sum_sent.bytes).toBeGreaterThanOrEqual(64 * MIB)
  })

  needing(['iperf3'], '-R receives 64 MiB', async () => {
    const { sum_received } = await iperf('-R', '-n', '64M')
    expect(sum_received.bytes).toBeGreaterThanOrEqual(64 * MIB)
  })
})

describe('redis', () => {
  needing(['redis-server', 'redis-benchmark'], 'redis-benchmark with 50 connections and a pipeline', async () => {
    const wanted = await freePort()
    const args = ['--bind', '127.0.0.1', '--port', String(wanted), '--dir', folder, '--save', '', '--appendonly', 'no']
    const server = service('redis-server', args)
    await server.until('its port', ({ stdout }) => stdout.find((line) => line.includes('Ready to accept connections')))
    const port = String(await through('redis', `127.0.0.1:${wanted}`))
    const bench = ['-h', '127.0.0.1', '-p', port, '-t', 'set,get,lrange_100', '-c', '50', '--csv']
    for (const [requests, pipeline] of [
      ['5000', '1'],
      ['20000', '16'],
    ] as const) {
      const csv = await run('redis-benchmark', [...bench, '-n', requests, '-P', pipeline])
      expect(csv).not.toMatch(/error/i)
      expect(csv).toMatch(/^"GET","\d/m)
    }
  })
})
