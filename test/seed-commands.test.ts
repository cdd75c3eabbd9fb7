/**
 * The commands of the design, in the words a user types them in a shell: only the printers' addresses and the link
 * are those of the test, and the local ports too where this machine has something on them.
 */
import { once } from 'node:events'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Child } from '../peer/demo/child.ts'
import { exchange, readAll, TcpTarget } from './support/tcp.ts'
import { CLI, type Network, startNetwork } from './support/tunnel.ts'

const unix = process.platform !== 'win32'
const printed = { printer1: [] as string[], printer2: [] as string[] }
const running: Child[] = []
let network: Network
let printers: TcpTarget[]
let substitutes: ReadonlyMap<string, string>

/** Takes a job, and answers once it has ended. */
async function printer(host: string, jobs: string[], port = 0): Promise<TcpTarget> {
  return TcpTarget.start(
    async (socket) => {
      const job = (await readAll(socket)).toString()
      jobs.push(job)
      socket.end(`printed ${job}`)
    },
    host,
    port,
  )
}

/** Two printers on the same port; a system with one loopback address has them on two. */
async function twoPrinters(): Promise<TcpTarget[]> {
  if (process.platform !== 'linux') {
    return [await printer('127.0.0.1', printed.printer1), await printer('127.0.0.1', printed.printer2)]
  }
  const first = await printer('127.0.0.2', printed.printer1)
  return [first, await printer('127.0.0.3', printed.printer2, first.port)]
}

/** The bind of the design where it is free, else another port. */
async function localPort(wanted: number): Promise<string> {
  for (const port of [wanted, 0]) {
    const server = createServer()
    try {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
    } catch {
      continue
    }
    const address = server.address()
    server.close()
    await once(server, 'close')
    if (address !== null && typeof address !== 'string') return `127.0.0.1:${address.port}`
  }
  throw new Error('no free port')
}

beforeAll(async () => {
  if (!unix) return
  network = await startNetwork()
  printers = await twoPrinters()
  // As `npm install -g` would put it there.
  const bin = join(network.folder, 'bin')
  await mkdir(bin)
  await writeFile(join(bin, 'nearport'), `#!/bin/sh\nexec "${process.execPath}" "${CLI}" "$@"\n`)
  await chmod(join(bin, 'nearport'), 0o755)
  substitutes = new Map([
    ['http://HOST:7070/#KEY', network.link],
    ['192.168.1.185:9101', printers[0]?.address ?? ''],
    ['192.168.1.186:9101', printers[1]?.address ?? ''],
    ['127.0.0.1:9901', await localPort(9901)],
    ['127.0.0.1:9902', await localPort(9902)],
  ])
})

afterAll(async () => {
  for (const child of running.reverse()) await child.stop()
  await network?.stop()
  for (const printer of printers ?? []) await printer.off()
})

/** A line of the design, in a shell, in one of the two environments. */
function shell(side: 'shop' | 'office', line: string): Child {
  let command = line
  for (const [text, actual] of substitutes) command = command.replaceAll(text, actual)
  const child = new Child(line, ['-c', `exec ${command}`], {
    program: 'sh',
    env: {
      PATH: `${join(network.folder, 'bin')}${delimiter}${process.env.PATH}`,
      NEARPORT_HOME: network.home(side),
      NEARPORT_LINK: undefined,
      NEARPORT_ENGINE: undefined,
    },
  })
  running.push(child)
  return child
}

async function done(side: 'shop' | 'office', line: string): Promise<string> {
  const child = shell(side, line)
  const { code } = await child.ended
  if (code !== 0) throw new Error(`${line} ended with ${code}: ${child.stderr.join('\n')}`)
  return child.stdout.join('\n')
}

/** A command that runs on, once it has said as many lines. */
async function runs(side: 'shop' | 'office', line: string, lines: number): Promise<Child> {
  const child = shell(side, line)
  await child.until('ready', ({ stdout }) => (stdout.length >= lines ? true : undefined))
  return child
}

const port = (bind: string): number => Number(substitutes.get(bind)?.split(':').at(-1))
const print = async (bind: string, job: string) => (await exchange(port(bind), job)).toString()
const shares = async () => JSON.parse(await done('office', 'nearport overview --json')).shares

const seed = unix ? test : test.skip

seed('two jobs on two printers that listen on the same port', async () => {
  if (process.platform === 'linux') expect(printers[0]?.port).toBe(printers[1]?.port)
  for (const side of ['shop', 'office'] as const) await done(side, 'nearport enable http://HOST:7070/#KEY')
  await done('shop', 'nearport reserve private --backend-mode tcpTunnel 192.168.1.185:9101 --unique-name "pc1"')
  await done('shop', 'nearport reserve private --backend-mode tcpTunnel 192.168.1.186:9101 --unique-name "pc2"')
  const share = await runs('shop', 'nearport share reserved pc1 pc2', 2)
  const first = await runs('office', 'nearport access private "pc1" --bind "127.0.0.1:9901"', 1)
  const second = await runs('office', 'nearport access private "pc2" --bind "127.0.0.1:9902"', 1)

  const answers = Promise.all([print('127.0.0.1:9901', 'for the first'), print('127.0.0.1:9902', 'for the second')])
  expect(await answers).toEqual(['printed for the first', 'printed for the second'])
  expect(printed).toEqual({ printer1: ['for the first'], printer2: ['for the second'] })
  expect(await shares()).toEqual([
    expect.objectContaining({ name: 'pc1', online: true }),
    expect.objectContaining({ name: 'pc2', online: true }),
  ])
  for (const child of [first, second]) expect((await child.stop('SIGINT')).code).toBe(0)

  // One process for all.
  const both = 'nearport access private pc1 pc2 --bind pc1=127.0.0.1:9901 --bind pc2=127.0.0.1:9902'
  const access = await runs('office', both, 2)
  expect(await print('127.0.0.1:9902', 'second')).toBe('printed second')
  expect(await print('127.0.0.1:9901', 'first')).toBe('printed first')
  expect(printed).toEqual({ printer1: ['for the first', 'first'], printer2: ['for the second', 'second'] })
  for (const child of [access, share]) expect((await child.stop('SIGINT')).code).toBe(0)
  expect((await shares()).map(({ online }: { online: boolean }) => online)).toEqual([false, false])

  // The name is free again, and now only as long as its process.
  await done('shop', 'nearport release pc1')
  const passing = await runs('shop', 'nearport share private 192.168.1.185:9101 --unique-name pc1', 1)
  const again = await runs('office', 'nearport access private "pc1" --bind "127.0.0.1:9901"', 1)
  expect(await print('127.0.0.1:9901', 'once more')).toBe('printed once more')
  for (const child of [again, passing]) expect((await child.stop('SIGTERM')).code).toBe(0)
  expect((await shares()).map(({ name }: { name: string }) => name)).toEqual(['pc2'])

  expect(await done('office', 'nearport version')).toMatch(/^nearport \d+\.\d+\.\d+$/)
  expect(await done('shop', 'nearport overview')).toContain(printers[1]?.address)
  for (const side of ['shop', 'office'] as const) await done(side, 'nearport disable')
})
