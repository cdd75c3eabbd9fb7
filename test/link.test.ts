import { randomBytes } from 'node:crypto'
import { nanoid } from 'nanoid'
import { fromBase64Url, toBase64Url } from '../shared/bytes.ts'
import { encodeControl } from '../shared/control.ts'
import { Sealer } from '../shared/crypto.ts'
import type { Engine } from '../shared/engine.ts'
import { NearportError } from '../shared/errors.ts'
import type { Link } from '../shared/link.ts'
import { Negotiation } from '../shared/negotiation.ts'
import type { MuxStream } from '../shared/stream.ts'
import {
  availableEngines,
  type Carry,
  linkPair,
  type Member,
  type Network,
  newMember,
  newNetwork,
} from './support/links.ts'

const engines = await availableEngines()
let network: Network
let access: Member
let share: Member
const made: Link[] = []
const negotiations: Negotiation[] = []

beforeAll(async () => {
  ;[network, access, share] = await Promise.all([newNetwork(), newMember(), newMember()])
})
afterEach(async () => {
  await Promise.all(made.splice(0).map((link) => link.close(new NearportError('shutting-down', 'the test is over'))))
  for (const negotiation of negotiations.splice(0)) negotiation.destroy()
})
afterAll(async () => {
  for (const engine of engines) await engine.close()
})

const known = ({ peer, identity }: Member) => ({ peer, identity: identity.publicKey })

type Change = Partial<Parameters<typeof linkPair>[0]>

function pair(engine: Engine, change: Change = {}) {
  const links = linkPair({ engine, network, access, share, ...change })
  made.push(links.access, links.share)
  return links
}

/** Neither side ever accepts the link; resolves with the reasons of both. */
async function refused(links: { access: Link; share: Link }) {
  const accepted: string[] = []
  links.access.ready.then(
    () => accepted.push('access'),
    () => undefined,
  )
  links.share.ready.then(
    () => accepted.push('share'),
    () => undefined,
  )
  const first = await Promise.race([links.access.closed, links.share.closed])
  // The other side was told, or would find out at its deadline.
  await Promise.all([links.access.close(first), links.share.close(first)])
  expect(accepted).toEqual([])
  return first
}

const names = engines.map((engine) => [engine.name, engine] as const)
const pairs = engines.flatMap((one) => engines.map((other) => [one.name, other.name, one, other] as const))

describe.each(pairs)('access on %s, share on %s', (_one, _other, engine, shareEngine) => {
  test('carries several shares, each on its own channel, byte for byte', async () => {
    const seen: string[] = []
    const accept = (name: string) => (stream: MuxStream) => {
      seen.push(name)
      stream.ondata = (bytes) => {
        stream.write(bytes.slice())
        stream.taken(bytes.length)
      }
      stream.onend = () => stream.end()
    }
    const links = pair(engine, { shareEngine, accept: (name) => (name === 'nobody' ? null : accept(name)) })
    const echo = async (name: string, size: number) => {
      const stream = (await links.tunnels.access.open(name)).open()
      const sent = randomBytes(size)
      const chunks: Uint8Array[] = []
      const ended = new Promise<void>((resolve, reject) => {
        stream.onend = resolve
        stream.onreset = reject
      })
      stream.ondata = (bytes) => {
        chunks.push(bytes.slice())
        stream.taken(bytes.length)
      }
      stream.write(sent)
      stream.end()
      await ended
      expect(Buffer.concat(chunks).equals(sent)).toBe(true)
    }
    await Promise.all([echo('pc1', 3_000_000), echo('pc2', 1), echo('pc3', 65_521)])
    expect(seen.sort()).toEqual(['pc1', 'pc2', 'pc3'])
    await expect(links.tunnels.access.open('nobody')).rejects.toMatchObject({ code: 'name-offline' })
  })

  test('closing one side closes the other with the reason, and resets its streams', async () => {
    const links = pair(engine, { shareEngine })
    const stream = (await links.tunnels.access.open('pc1')).open()
    const reset = new Promise<NearportError>((resolve) => {
      stream.onreset = resolve
    })
    links.share.close(new NearportError('shutting-down', 'the share side was stopped'))
    expect((await links.access.closed).code).toBe('shutting-down')
    expect((await reset).code).toBe('shutting-down')
  })

  test('a name that is withdrawn resets its streams; the other shares go on', async () => {
    const links = pair(engine, { shareEngine })
    const [one, two] = [await links.tunnels.access.open('pc1'), await links.tunnels.access.open('pc2')]
    links.tunnels.share.withdraw('pc1', new NearportError('displaced', 'served elsewhere now'))
    expect((await one.closed).code).toBe('displaced')
    expect(() => two.open()).not.toThrow()
  })
})

describe.each(names)('a malicious signaling server (%s)', (_name, engine) => {
  test('that alters a sealed signal gets nothing', async () => {
    const flip: Carry = (box, deliver) => {
      const bytes = fromBase64Url(box) ?? new Uint8Array()
      const at = bytes.length - 20
      bytes[at] = (bytes[at] ?? 0) ^ 1
      deliver(toBase64Url(bytes))
    }
    expect((await refused(pair(engine, { up: flip }))).code).toBe('signal-refused')
    expect((await refused(pair(engine, { down: flip }))).code).toBe('signal-refused')
  })

  test('that replays an offer, to the same process or to a new one, gets nothing', async () => {
    const offers: string[] = []
    const record: Carry = (box, deliver) => {
      offers.push(box)
      deliver(box)
    }
    const session = nanoid()
    await pair(engine, { session, up: record }).access.ready
    const replay: Carry = (_box, deliver) => {
      for (const offer of offers) deliver(offer)
    }
    expect((await refused(pair(engine, { up: replay }))).code).toBe('signal-refused')
    const restarted = { ...share, peer: nanoid() }
    expect((await refused(pair(engine, { session, share: restarted, up: replay }))).code).toBe('signal-refused')
  })

  test('that reflects what a peer sent gets nothing', async () => {
    const links = pair(engine, { up: (box) => links.access.receiveSignal(box) })
    expect((await refused(links)).code).toBe('signal-refused')
  })

  test('that delivers to another peer of the network gets nothing', async () => {
    const other = await newMember()
    const links = pair(engine, { change: { share: { self: other } } })
    expect((await refused(links)).code).toBe('signal-refused')
  })

  test('that repeats a signal gets nothing', async () => {
    const twice: Carry = (box, deliver) => {
      deliver(box)
      deliver(box)
    }
    expect((await refused(pair(engine, { up: twice }))).code).toBe('signal-refused')
  })

  test.each<[string, (link: Link, boxes: readonly string[]) => void]>([
    [
      'that sends junk, or again what it has seen',
      (link, boxes) => {
        for (const box of [...boxes, 'junk', toBase64Url(randomBytes(500))]) link.receiveSignal(box)
      },
    ],
    ['that ends the session', (link) => link.abandon(new NearportError('peer-gone', 'the server ended it'))],
    [
      'that is gone when an engine finds one more candidate',
      ({ connection }) => {
        const candidate = { candidate: 'candidate:1 1 udp 1 127.0.0.1 9 typ host', sdpMid: '0', sdpMLineIndex: 0 }
        connection.onicecandidate?.({ candidate } as unknown as RTCPeerConnectionIceEvent)
      },
    ],
  ])('%s disturbs no link that is ready', async (_what, disturb) => {
    const boxes: string[] = []
    let isGone = false
    const record: Carry = (box, deliver) => {
      if (isGone) throw new NearportError('server-unreachable', 'the server is gone')
      boxes.push(box)
      deliver(box)
    }
    const accept = () => (stream: MuxStream) => {
      stream.ondata = (bytes) => stream.write(bytes.slice())
    }
    const links = pair(engine, { up: record, down: record, accept })
    await Promise.all([links.access.ready, links.share.ready])
    isGone = true
    const stream = (await links.tunnels.access.open('pc1')).open()
    const ends: string[] = []
    for (const link of [links.access, links.share]) {
      link.closed.then(({ code }) => ends.push(code))
      disturb(link, boxes)
    }
    for (const job of ['a job', 'another one']) {
      const echoed = new Promise<Uint8Array>((resolve, reject) => {
        stream.ondata = resolve
        stream.onreset = reject
      })
      stream.write(Buffer.from(job))
      expect(Buffer.from(await echoed).toString()).toBe(job)
    }
    expect(ends).toEqual([])
  })

  test('that lies about who the other side is gets nothing', async () => {
    const liar = await newMember()
    const remote = { peer: share.peer, identity: liar.identity.publicKey }
    expect((await refused(pair(engine, { change: { access: { remote } } }))).code).toBe('signal-refused')
  })

  // werift makes one certificate a process, so that a Mallory in this process needs the native engine to have her own.
  const mallory = engines.find((other) => other.name === 'native')
  const testWithMallory = mallory === undefined ? test.skip : test
  testWithMallory(
    'that even holds the network key, swaps the fingerprints and sits in between gets nothing',
    async () => {
      const session = nanoid()
      let near: Negotiation
      let far: Negotiation
      const links = pair(engine, {
        session,
        up: (box) => near.receiveSignal(box),
        down: (box) => far.receiveSignal(box),
      })
      const sealer = Sealer.forSession(network.key, session)
      const common = { session, engine: mallory ?? engine, sealer, stunUrl: null }
      near = new Negotiation({
        ...common,
        initiator: false,
        self: known(share),
        remote: known(access),
        sendSignal: (box) => links.access.receiveSignal(box),
      })
      far = new Negotiation({
        ...common,
        initiator: true,
        self: known(access),
        remote: known(share),
        sendSignal: (box) => links.share.receiveSignal(box),
      })
      negotiations.push(near, far)
      const relayed: string[] = []
      const relay = (from: Negotiation, to: Negotiation) => {
        const early: Uint8Array[] = []
        let open = false
        to.onconnect = () => {
          open = true
          for (const bytes of early) to.send(bytes)
        }
        from.onmessage = (bytes) => {
          relayed.push(String(JSON.parse(Buffer.from(bytes).toString()).type))
          if (open) to.send(bytes)
          else early.push(bytes)
        }
      }
      relay(near, far)
      relay(far, near)
      expect((await refused(links)).code).toBe('proof-refused')
      // It did get as far as carrying the proofs of both.
      expect(relayed).toContain('proof')
    },
  )
})

describe.each(names)('a peer (%s)', (_name, engine) => {
  test('with another network key cannot open what is sealed', async () => {
    const { key: networkKey } = newNetwork()
    const session = nanoid()
    const sealer = Sealer.forSession(networkKey, session)
    const links = pair(engine, { session, change: { share: { networkKey, sealer } } })
    expect((await refused(links)).code).toBe('signal-refused')
  })

  test('with another network key is refused at the proof even if it could open what is sealed', async () => {
    const other = newNetwork()
    expect((await refused(pair(engine, { change: { share: { networkKey: other.key } } }))).code).toBe('proof-refused')
    expect((await refused(pair(engine, { change: { access: { networkKey: other.key } } }))).code).toBe('proof-refused')
  })

  test('that claims an identity it has no key of is refused', async () => {
    const thief = await newMember()
    const identity = Object.assign(Object.create(thief.identity), { publicKey: share.identity.publicKey })
    identity.sign = (message: Uint8Array<ArrayBuffer>) => thief.identity.sign(message)
    const { access: victim } = pair(engine, { change: { share: { self: { peer: share.peer, identity } } } })
    expect((await victim.closed).code).toBe('proof-refused')
    await expect(victim.ready).rejects.toThrow()
  })

  test.each([
    [
      'opens a share before the proof',
      encodeControl({ type: 'open', channel: 1, name: 'pc1', resume: false }),
      'message-malformed',
    ],
    ['sends something else than JSON', Buffer.from('{'), 'message-malformed'],
    ['sends too much', Buffer.alloc(5000, 0x20), 'message-malformed'],
    ['says nothing', null, 'proof-timeout'],
  ])('that %s is cut off', async (_what, bytes, code) => {
    const session = nanoid()
    const links = pair(engine, { session, up: (box) => rude.receiveSignal(box), down: () => undefined })
    const rude = new Negotiation({
      initiator: false,
      session,
      self: known(share),
      remote: known(access),
      engine,
      sealer: Sealer.forSession(network.key, session),
      stunUrl: null,
      sendSignal: (box) => links.access.receiveSignal(box),
    })
    negotiations.push(rude)
    if (bytes !== null) rude.onconnect = () => rude.send(bytes)
    expect((await links.access.closed).code).toBe(code)
  })
})
