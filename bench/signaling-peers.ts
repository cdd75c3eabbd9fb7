/**
 * The peers of signaling-load.ts, in a process of their own: what they spend must not be taken for the server's.
 * Told what to do over IPC: `{ connect: n }`, `{ exchange: n }` or `{ close: true }`, and answers `{ seconds }`.
 *
 *     NEARPORT_LINK=LINK node signaling-peers.js CONCURRENCY
 */
import { nanoid } from 'nanoid'
import { WebSocket } from 'ws'
import { toBase64Url } from '../shared/bytes.ts'
import { Identity, randomBytes } from '../shared/crypto.ts'
import { parseInvite } from '../shared/invite.ts'
import type { Log } from '../shared/log.ts'
import type { PeerRef } from '../shared/peer-key.ts'
import { SignalingClient } from '../shared/signaling-client.ts'

/** bytes. A sealed session description of either engine, without candidates. */
const BOX_BYTES = 1024

const concurrency = Number(process.argv[2])
const invite = parseInvite(process.env.NEARPORT_LINK ?? '')
const quiet = () => undefined
const log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet }
const idle: { readonly client: SignalingClient; readonly ref: PeerRef }[] = []
let ended = 0

/** A server takes only so many from one address; Linux has all of 127.0.0.0/8. */
let sockets = 0
class SpreadSocket extends WebSocket {
  constructor(url: string) {
    super(url, process.platform === 'linux' ? { localAddress: `127.0.0.${1 + (sockets++ % 250)}` } : {})
  }
}

async function newPeer() {
  const peer = nanoid()
  const { identity } = await Identity.generate()
  const client = new SignalingClient({ ...invite, identity, peer, WebSocket: SpreadSocket, log })
  return { client, ref: { peer, identity: identity.publicKey } }
}

/** A peer that stays, and answers every offer. */
async function join(): Promise<void> {
  const { client, ref } = await newPeer()
  client.onsignal = ({ session, from: peer, owner: identity }) =>
    client.signal(session, { peer, identity }, toBase64Url(randomBytes(BOX_BYTES)))
  client.onended = () => {
    ended++
  }
  await client.start()
  idle.push({ client, ref })
}

/** A peer that comes, is answered by one that is there, ends the session and goes. */
async function exchange(number: number): Promise<void> {
  const to = idle[number % idle.length]
  if (to === undefined) throw new Error('no peer is there to answer')
  const { client } = await newPeer()
  const session = nanoid()
  const answered = new Promise<void>((resolve, reject) => {
    client.onsignal = () => resolve()
    client.onended = ({ code }) => reject(new Error(`the server ended the session: ${code}`))
  })
  await client.start()
  client.signal(session, to.ref, toBase64Url(randomBytes(BOX_BYTES)))
  await answered
  client.end(session)
  await client.close()
}

/** Runs `task` `count` times, several at once. */
async function repeat(count: number, task: (number: number) => Promise<void>): Promise<void> {
  let next = 0
  const work = async () => {
    while (next < count) await task(next++)
  }
  await Promise.all(Array.from({ length: concurrency }, work))
}

async function perform(order: { connect?: number; exchange?: number; close?: true }): Promise<void> {
  if (order.connect !== undefined) await repeat(order.connect, join)
  if (order.exchange !== undefined) {
    const before = ended
    await repeat(order.exchange, exchange)
    if (ended - before !== order.exchange) throw new Error(`${ended - before} of ${order.exchange} sessions ended`)
  }
  if (order.close) await Promise.all(idle.map(({ client }) => client.close()))
}

process.on('message', async (order: object) => {
  const begin = performance.now()
  await perform(order)
  process.send?.({ seconds: (performance.now() - begin) / 1000 })
})
