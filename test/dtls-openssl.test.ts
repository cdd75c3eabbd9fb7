/** DTLS of our own against another implementation: OpenSSL's s_client and s_server. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import type { Role } from '../peer/engines/dtls/keys.ts'
import { dtlsEnd, type End, type Identity, newIdentity } from './support/dtls.ts'

const LABEL = 'EXPORTER-nearport-test'
const LENGTH = 32
const isThere = spawnSync('openssl', ['version']).status === 0
if (!isThere && process.env.CI) throw new Error('openssl is missing: install the package openssl')
const testWithOpenssl = isThere ? test : test.skip

let ours: Identity
let theirs: Identity
let folder: string
const running: { process: ChildProcess; socket: dgram.Socket; end: End }[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nearport-dtls-'))
  ;[ours, theirs] = [await newIdentity(), await newIdentity()]
  await writeFile(join(folder, 'certificate.pem'), theirs.pem.certificate)
  await writeFile(join(folder, 'key.pem'), theirs.pem.key)
})

afterEach(() => {
  for (const { process, socket, end } of running.splice(0)) {
    process.kill('SIGKILL')
    end.connection.close()
    socket.close()
  }
})

afterAll(() => rm(folder, { recursive: true, force: true }))

/** Starts OpenSSL in the other role, with what it prints. */
function openssl(role: Role, port: number, ...options: string[]) {
  const where =
    role === 'server'
      ? ['s_server', '-accept', `127.0.0.1:${port}`, '-Verify', '1']
      : ['s_client', '-connect', `127.0.0.1:${port}`]
  const identity = ['-cert', 'certificate.pem', '-key', 'key.pem']
  const keying = ['-keymatexport', LABEL, '-keymatexportlen', String(LENGTH)]
  const child = spawn('openssl', [...where, '-dtls1_2', ...identity, ...keying, ...options], { cwd: folder })
  const output = { text: '' }
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output.text += chunk))
  const printed = async (what: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const found = what.exec(output.text)
      if (found !== null) return found
      if (child.exitCode !== null) throw new Error(`openssl ended: ${output.text}`)
      await Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data'), once(child, 'exit')])
    }
  }
  return { child, printed }
}

/** Our end on a socket of its own; it sends to `port`, or else to who sent last. */
async function ourEnd(role: Role, port?: number) {
  const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  let to = port
  const end = dtlsEnd({
    role,
    ...ours,
    expected: theirs.fingerprint,
    send: (datagram) => socket.send(datagram, to ?? 0, '127.0.0.1'),
  })
  socket.on('message', (datagram, from) => {
    to = from.port
    end.connection.receive(datagram)
  })
  end.connection.start()
  const heard = async (until: () => boolean) => {
    while (!until()) await once(socket, 'message')
  }
  return { socket, end, heard, port: (socket.address() as AddressInfo).port }
}

async function freePort(): Promise<number> {
  const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  await new Promise<void>((resolve) => socket.close(resolve))
  return port
}

testWithOpenssl('our client and s_server, which asks for a cookie', async () => {
  const port = await freePort()
  const { child, printed } = openssl('server', port)
  await printed(/ACCEPT/)
  const { socket, end, heard } = await ourEnd('client', port)
  running.push({ process: child, socket, end })
  await heard(() => end.events.length > 0)
  expect(end.events).toEqual(['connected'])
  const [, exported] = await printed(/Keying material: ([0-9A-F]+)/)
  expect(end.connection.exportKeyingMaterial(LABEL, LENGTH).toString('hex').toUpperCase()).toBe(exported)
  end.connection.send(Buffer.from('from nearport\n'))
  await printed(/from nearport/)
  child.stdin.write('from openssl\n')
  await heard(() => end.data.length > 0)
  expect(end.data).toEqual(['from openssl\n'])
})

testWithOpenssl('our server and s_client; a new handshake within the connection is not answered', async () => {
  const { socket, end, heard, port } = await ourEnd('server')
  const { child, printed } = openssl('client', port)
  running.push({ process: child, socket, end })
  const [, exported] = await printed(/Keying material: ([0-9A-F]+)/)
  expect(end.events).toEqual(['connected'])
  expect(end.connection.exportKeyingMaterial(LABEL, LENGTH).toString('hex').toUpperCase()).toBe(exported)
  child.stdin.write('from openssl\n')
  await heard(() => end.data.length > 0)
  expect(end.data).toEqual(['from openssl\n'])
  end.connection.send(Buffer.from('from nearport\n'))
  await printed(/from nearport/)
  // "R" at the beginning of a line asks for a renegotiation: OpenSSL greets again, under the keys.
  child.stdin.write('R\n')
  await Promise.all([printed(/RENEGOTIATING/), once(socket, 'message')])
  end.connection.send(Buffer.from('not a handshake\n'))
  await printed(/unexpected record/)
  // It is in the middle of its handshake, and ends the connection with unexpected_message.
  if (end.events.length === 1) await heard(() => end.events.length > 1)
  expect(end).toMatchObject({
    events: ['connected', 'the other side ended DTLS with alert 10'],
    data: ['from openssl\n'],
  })
})

testWithOpenssl.each([
  [
    'another cipher suite',
    ['-cipher', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
    'the client does not offer ECDHE-ECDSA-AES128-GCM-SHA256',
  ],
  ['another curve', ['-groups', 'P-384'], 'the client does not offer secp256r1'],
  ['other signatures', ['-sigalgs', 'ECDSA+SHA384'], 'the client does not offer ecdsa_secp256r1_sha256'],
])('s_client with %s is refused', async (_what, options, reason) => {
  const { socket, end, heard, port } = await ourEnd('server')
  const { child } = openssl('client', port, ...options)
  running.push({ process: child, socket, end })
  await heard(() => end.events.length > 0)
  expect(end.events).toEqual([reason])
})
