/** The handshake of a link by itself, with what is said altered on the way. */
import { beforeAll, describe, expect, test } from '@jest/globals'
import { nanoid } from 'nanoid'
import { utf8 } from '../shared/bytes.ts'
import { type ControlMessage, parseControl } from '../shared/control.ts'
import type { Bytes } from '../shared/crypto.ts'
import { Handshake } from '../shared/handshake.ts'
import { parseServerMessage } from '../shared/messages.ts'
import { PROTOCOL_VERSION } from '../shared/versions.ts'
import { type Member, newMember, newNetwork } from './support/links.ts'

type Hello = Extract<ControlMessage, { type: 'hello' }>
type Change = (hello: Record<string, unknown>) => object

const NEAR = { near: 'sha-256 AA', far: 'sha-256 BB', keyingMaterial: null }
const FAR = { near: 'sha-256 BB', far: 'sha-256 AA', keyingMaterial: null }
let access: Member
let share: Member

beforeAll(async () => {
  ;[access, share] = await Promise.all([newMember(), newMember()])
})

interface Scene {
  /** What is done to the hello of each on its way. */
  readonly up?: Change
  readonly down?: Change
  readonly keys?: readonly [Bytes, Bytes]
}

/** Resolves with what each side came to: "ready", or the code of an error. */
async function meet({ up = (hello) => hello, down = (hello) => hello, keys }: Scene): Promise<[string, string]> {
  const { key } = newNetwork()
  const session = nanoid()
  const known = ({ peer, identity }: Member) => ({ peer, identity: identity.publicKey })
  const asks = { id: nanoid(), slot: 0, ended: [] }
  const near = {
    role: 'access',
    session,
    self: access,
    remote: known(share),
    networkKey: keys?.[0] ?? key,
    asks,
  } as const
  const far = { role: 'share', session, self: share, remote: known(access), networkKey: keys?.[1] ?? key } as const
  const [one, two] = [
    new Handshake({ ...near, exportsKeys: false }),
    new Handshake({ ...far, asks: null, exportsKeys: false }),
  ]
  const carried = (bytes: Bytes, change: Change): [Hello, Uint8Array] => {
    const hello = JSON.parse(Buffer.from(bytes).toString())
    const changed = change(hello)
    const arrives = changed === hello ? bytes : utf8(JSON.stringify(changed))
    const parsed = parseControl(arrives)
    if (parsed.type !== 'hello') throw new Error('no hello')
    return [parsed, arrives]
  }
  const codeOf = ({ code }: { code: string }) => code
  const proofs = await Promise.allSettled([
    two.receiveHello(...carried(one.hello, up), FAR),
    one.receiveHello(...carried(two.hello, down), NEAR),
  ])
  const [ofShare, ofAccess] = proofs
  const end = async (side: Handshake, own: typeof ofShare, other: typeof ofShare) => {
    if (own.status === 'rejected') return codeOf(own.reason)
    if (other.status === 'rejected') return 'no proof came'
    return side.receiveProof(other.value).then(() => 'ready', codeOf)
  }
  return [await end(one, ofAccess, ofShare), await end(two, ofShare, ofAccess)]
}

test('both sides are ready, with a tunnel', async () => {
  expect(await meet({})).toEqual(['ready', 'ready'])
})

describe('what is altered in a hello is noticed by both sides', () => {
  test.each<[string, Change]>([
    ['a lower version', (hello) => ({ ...hello, least: 1 })],
    ['a higher version', (hello) => ({ ...hello, version: 9 })],
    ['a capability taken away, or put in', (hello) => ({ ...hello, capabilities: ['other'] })],
    ['a field that this version does not know', (hello) => ({ ...hello, later: true })],
    ['the nonce', (hello) => ({ ...hello, nonce: 'A'.repeat(43) })],
    ['the order of the fields', (hello) => ({ capabilities: hello.capabilities, ...hello })],
  ])('%s', async (_, change) => {
    expect(await meet({ up: change })).toEqual(['proof-refused', 'proof-refused'])
    expect(await meet({ down: change })).toEqual(['proof-refused', 'proof-refused'])
  })

  test('the tunnel that is asked for', async () => {
    const other: Change = (hello) => ({ ...hello, tunnel: { id: nanoid(), slot: 0, ended: [nanoid()] } })
    expect(await meet({ up: other })).toEqual(['proof-refused', 'proof-refused'])
  })
})

test('another network key is refused by both sides', async () => {
  const keys = [newNetwork().key, newNetwork().key] as const
  expect(await meet({ keys })).toEqual(['proof-refused', 'proof-refused'])
})

test('a side is not shown its own proof', async () => {
  const { key: networkKey } = newNetwork()
  const remote = { peer: access.peer, identity: access.identity.publicKey }
  const common = { session: nanoid(), self: access, remote, networkKey }
  const asks = { id: nanoid(), slot: 0, ended: [] }
  const victim = new Handshake({ ...common, role: 'access', asks, exportsKeys: false })
  const hello = parseControl(victim.hello)
  if (hello.type !== 'hello') throw new Error('no hello')
  const proof = await victim.receiveHello({ ...hello, tunnel: null }, victim.hello, {
    near: 'sha-256 AA',
    far: 'sha-256 AA',
    keyingMaterial: null,
  })
  await expect(victim.receiveProof(proof)).rejects.toMatchObject({ code: 'proof-refused' })
})

describe('versions', () => {
  async function greet(change: object): Promise<unknown> {
    const { key: networkKey } = newNetwork()
    const remote = { peer: access.peer, identity: access.identity.publicKey }
    const asks = { id: nanoid(), slot: 0, ended: [] }
    const session = nanoid()
    const theirs = new Handshake({
      role: 'access',
      session,
      self: access,
      remote,
      networkKey,
      asks,
      exportsKeys: false,
    })
    const ours = new Handshake({
      role: 'share',
      session,
      self: share,
      remote,
      networkKey,
      asks: null,
      exportsKeys: false,
    })
    const bytes = utf8(JSON.stringify({ ...JSON.parse(Buffer.from(theirs.hello).toString()), ...change }))
    return ours.receiveHello(parseControl(bytes) as Hello, bytes, NEAR)
  }

  test.each([
    [
      'older',
      { version: 2, least: 1 },
      `the other side speaks versions 1 to 2 of the protocol, this side version ${PROTOCOL_VERSION}: update the other side`,
    ],
    [
      'newer',
      { version: 9, least: 8 },
      `the other side speaks versions 8 to 9 of the protocol, this side version ${PROTOCOL_VERSION}: update this side`,
    ],
  ])('without one in common, the error says whom to update: %s', async (_, change, message) => {
    await expect(greet(change)).rejects.toMatchObject({ code: 'version-mismatch', message })
  })

  test('a newer side that also speaks this version is understood', async () => {
    await greet({ version: 9, least: PROTOCOL_VERSION, capabilities: ['telepathy'], later: { than: 'this' } })
  })
})

describe("an identity that is nobody's is refused wherever a peer reads one", () => {
  const weak = `AQ${'A'.repeat(41)}`
  const sound = `AQE${'A'.repeat(40)}`
  const id = nanoid()
  const share = { name: 'pc1', reserved: true, peer: id }
  const hello = {
    type: 'hello',
    version: PROTOCOL_VERSION,
    least: PROTOCOL_VERSION,
    capabilities: [],
    nonce: sound,
    tunnel: null,
  }
  const cases: [string, (identity: string) => object, (bytes: Uint8Array) => unknown][] = [
    ['presence', (owner) => ({ type: 'presence', name: 'pc1', state: 'online', peer: id, owner }), fromServer],
    ['signal', (owner) => ({ type: 'signal', session: id, from: id, owner, box: 'AA' }), fromServer],
    ['changes', (owner) => ({ type: 'changes', shares: [{ ...share, owner }], peers: [] }), fromServer],
    [
      'changes of peers',
      (identity) => ({ type: 'changes', shares: [], peers: [{ peer: id, identity, connected: true }] }),
      fromServer,
    ],
    [
      'shares',
      (owner) => ({
        type: 'shares',
        request: 1,
        shares: [{ ...share, owner, online: true, mode: 'tcpTunnel', health: null }],
      }),
      fromServer,
    ],
    ['hello', (identity) => ({ ...hello, identity }), parseControl],
    ['link', (identity) => ({ type: 'link', peer: id, identity, link: null }), parseControl],
  ]
  test.each(cases)('%s', (_, make, parse) => {
    expect(() => parse(utf8(JSON.stringify(make(sound))))).not.toThrow()
    expect(() => parse(utf8(JSON.stringify(make(weak))))).toThrow(
      expect.objectContaining({ code: 'message-malformed' }),
    )
  })
})

function fromServer(bytes: Uint8Array): unknown {
  return parseServerMessage(Buffer.from(bytes).toString())
}
