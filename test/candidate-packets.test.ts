/** Where an engine sends packets when a member of the network tells it to: sockets that listen, and must hear nothing. */
import dgram from 'node:dgram'
import { once } from 'node:events'
import os from 'node:os'
import { jest } from '@jest/globals'
import { nanoid } from 'nanoid'
import { hostAddresses, LOOPBACK } from '../peer/engines/ice.ts'
import { Sealer } from '../shared/crypto.ts'
import { deferred } from '../shared/deferred.ts'
import type { Engine } from '../shared/engine.ts'
import { Negotiation } from '../shared/negotiation.ts'
import { candidateTo, descriptionLines, sdpOf, sealing, someone } from './support/hostile.ts'
import { availableEngines, newNetwork } from './support/links.ts'

const engines = await availableEngines()
const { key } = newNetwork()
const rows = engines.flatMap((engine) => [
  [engine.name, 'answers', engine] as const,
  [engine.name, 'offers', engine] as const,
])
/** An engine sends as many before it gives up for a while; by the second one all others had their first. */
const CHECKS = 2

const open: { close: () => unknown }[] = []
afterEach(() => {
  jest.restoreAllMocks()
  for (const each of open.splice(0)) each.close()
})
afterAll(async () => {
  for (const engine of engines) await engine.close()
})

interface Listener {
  readonly port: number
  readonly received: number
  /** Once it has heard so many packets. */
  heard(packets: number): Promise<void>
}

async function listen(address: string, port = 0): Promise<Listener> {
  const socket = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4')
  socket.bind(port, address)
  await once(socket, 'listening')
  open.push(socket)
  let received = 0
  socket.on('message', () => received++)
  return {
    port: socket.address().port,
    get received() {
      return received
    },
    heard: async (packets) => {
      while (received < packets) await once(socket, 'message')
    },
  }
}

/** A side of ours, and a member that gives it this description and these candidates. */
async function attack(
  engine: Engine,
  role: 'answers' | 'offers',
  lines: readonly string[],
  trickled: readonly string[],
) {
  const [session, self, remote] = [nanoid(), someone(), someone()]
  const initiator = role === 'offers'
  const offer = deferred<void>()
  const victim = new Negotiation({
    initiator,
    session,
    self,
    remote,
    engine,
    sealer: Sealer.forSession(key, session),
    stunUrl: null,
    sendSignal: () => offer.resolve(),
  })
  open.push({ close: () => victim.destroy() })
  if (initiator) await offer.promise
  const seal = sealing(key, session, remote, self)
  const type = initiator ? 'answer' : 'offer'
  victim.receiveSignal(await seal({ type, sdp: sdpOf([...descriptionLines(type), ...lines]), nat: null }))
  for (const candidate of trickled) {
    victim.receiveSignal(await seal({ type: 'candidate', candidate: { candidate, sdpMid: '0', sdpMLineIndex: 0 } }))
  }
}

/** Tried before any other. */
const first = { priority: 2_130_706_431 }

const [own = LOOPBACK] = hostAddresses()
const networked = own === LOOPBACK ? describe.skip : describe

networked.each(rows)('%s %s, on a host with a network', (_name, role, engine) => {
  test('sends checks to the address of a peer, and none to what listens on loopback', async () => {
    const [peer, service, six] = [await listen(own), await listen(LOOPBACK), await listen('::1')]
    const targets: [string, number][] = [
      [LOOPBACK, service.port],
      ['localhost', service.port],
      [`::ffff:${LOOPBACK}`, service.port],
      ['127.1', service.port],
      ['0.0.0.0', service.port],
      ['::1', six.port],
      ['::', six.port],
    ]
    const candidates = targets.flatMap(([address, port]) => [
      candidateTo(address, port, first),
      candidateTo(address, port, { ...first, type: 'srflx', more: ' raddr 0.0.0.0 rport 9' }),
    ])
    const control = candidateTo(own, peer.port)
    // In its description, in the spellings that engines might take, and after it.
    const hidden = candidates.flatMap((candidate) => [
      `a=${candidate}`,
      `a=${candidate}\n`,
      `a=${candidate}\r`,
      `A=${candidate}`,
    ])
    const lines = [
      ...hidden,
      `a=${candidates[0]?.toUpperCase()}`,
      `a=remote-candidates:1 ${LOOPBACK} ${service.port}`,
      'a=ice-lite',
      'a=end-of-candidates',
    ]
    await attack(engine, role, lines, [...candidates, ...candidates.map((candidate) => `a=${candidate}`), control])
    await peer.heard(CHECKS)
    expect([service.received, six.received]).toEqual([0, 0])
  })

  test('tries no relay and no TCP, and asks no multicast DNS', async () => {
    const [peer, relay] = [await listen(own), await listen(own)]
    const multicast = jest.spyOn(dgram.Socket.prototype, 'addMembership')
    const candidates = [
      candidateTo(own, relay.port, { ...first, type: 'relay', more: ' raddr 0.0.0.0 rport 0' }),
      candidateTo(own, relay.port, { ...first, type: 'RELAY' }),
      candidateTo(own, relay.port, { ...first, transport: 'tcp', more: ' tcptype passive' }),
      candidateTo('0c0ffee0-0000-4000-8000-000000000000.local', relay.port, first),
    ]
    await attack(
      engine,
      role,
      candidates.map((candidate) => `a=${candidate}`),
      [...candidates, candidateTo(own, peer.port)],
    )
    await peer.heard(CHECKS)
    expect(relay.received).toBe(0)
    expect(multicast).not.toHaveBeenCalled()
  })

  test('sends none to where the description itself says it is, nor to a section of another kind', async () => {
    const [peer, service] = [await listen(own), await listen(own)]
    const lines = [
      `c=IN IP4 ${own}`,
      `a=rtcp:${service.port} IN IP4 ${own}`,
      `a=remote-candidates:1 ${own} ${service.port}`,
    ]
    await attack(engine, role, lines, [candidateTo(own, peer.port)])
    await peer.heard(CHECKS)
    expect(service.received).toBe(0)
  })

  test('tries 32 candidates, wherever they stand, and ignores the others', async () => {
    const [peer, late] = [await listen(own), await listen(own)]
    // Nobody listens at these: they only count. native takes 30 at most, so that the one that is heard comes before.
    const ports = Array.from({ length: 28 }, (_, index) => 1024 + index)
    const written = ports.slice(0, 20).map((port) => `a=${candidateTo(own, port, { priority: 1000 })}`)
    const trickled = ports.slice(20).map((port) => candidateTo(own, port, { priority: 1000 }))
    const last = [peer.port, 2000, 2001, 2002, late.port, ...Array.from({ length: 100 }, (_, index) => 3000 + index)]
    await attack(engine, role, written, [...trickled, ...last.map((port) => candidateTo(own, port, first))])
    await peer.heard(CHECKS)
    expect(late.received).toBe(0)
  })
})

test.each(rows)(
  '%s %s, on a host without a network: loopback is where the other side is',
  async (_name, role, engine) => {
    const { lo } = os.networkInterfaces()
    jest.spyOn(os, 'networkInterfaces').mockReturnValue({ lo })
    const peer = await listen(LOOPBACK)
    await attack(engine, role, [], [candidateTo(LOOPBACK, peer.port)])
    await peer.heard(CHECKS)
  },
)
