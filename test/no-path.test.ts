/** What two sides that find no path say: each knows the NAT of the other from the sealed signals. */

import { afterAll, afterEach, describe, expect, test } from '@jest/globals'
import { nanoid } from 'nanoid'
import { loadEngine } from '../peer/engines/index.ts'
import { fromBase64Url, toBase64Url } from '../shared/bytes.ts'
import { randomBytes, Sealer, signalContext } from '../shared/crypto.ts'
import { deferred } from '../shared/deferred.ts'
import type { Engine } from '../shared/engine.ts'
import { NearportError } from '../shared/errors.ts'
import { type NatReport, parseNat } from '../shared/nat.ts'
import { Negotiation, type NegotiationOptions } from '../shared/negotiation.ts'
import { newNetwork, silentLog } from './support/links.ts'

const werift = await loadEngine('werift', silentLog)

/** An engine that never hears of the other side's addresses: no path, whatever the network. */
const pathless: Engine = {
  ...werift,
  wrtc: {
    ...werift.wrtc,
    RTCPeerConnection: class extends werift.wrtc.RTCPeerConnection {
      override addIceCandidate = () => Promise.resolve()
    },
  },
}

const made: Negotiation[] = []
afterEach(() => {
  for (const negotiation of made.splice(0)) negotiation.destroy()
})
afterAll(() => werift.close())

type Nat = NegotiationOptions['nat']
/** What is carried, opened; may be changed before it is sealed again. */
type Change = (signal: Record<string, unknown>) => Record<string, unknown>

interface Side {
  readonly negotiation: Negotiation
  /** Everything it said. */
  readonly said: Record<string, unknown>[]
}

const newRef = () => ({ peer: nanoid(), identity: toBase64Url(randomBytes(32)) })

function pair(accessNat: Nat, shareNat: Nat, change: Change = (signal) => signal): { access: Side; share: Side } {
  const session = nanoid()
  const sealer = Sealer.forSession(newNetwork().key, session)
  const ids = [newRef(), newRef()] as const
  const said: [Side['said'], Side['said']] = [[], []]
  const sides: [Negotiation | null, Negotiation | null] = [null, null]
  const make = (own: 0 | 1, nat: Nat): Side => {
    const other = own === 0 ? 1 : 0
    const [self, remote] = [ids[own], ids[other]]
    let carried = Promise.resolve()
    let count = 0
    const carry = async (box: string) => {
      const context = signalContext(session, self, remote, count++)
      const plain = await (await sealer).open(fromBase64Url(box) ?? new Uint8Array(), context)
      const signal = JSON.parse(Buffer.from(plain ?? []).toString())
      said[own].push(signal)
      const changed = Buffer.from(JSON.stringify(change(signal)))
      sides[other]?.receiveSignal(toBase64Url(await (await sealer).seal(new Uint8Array(changed), context)))
    }
    const negotiation = new Negotiation({
      initiator: own === 0,
      session,
      self,
      remote,
      engine: pathless,
      sealer,
      stunUrl: null,
      nat,
      sendSignal: (box) => {
        carried = carried.then(() => carry(box))
      },
    })
    sides[own] = negotiation
    made.push(negotiation)
    return { negotiation, said: said[own] }
  }
  return { share: make(1, shareNat), access: make(0, accessNat) }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

const sentence = ({ negotiation }: Side): string => negotiation.noPath().message
const known = (word: string) => () => Promise.resolve<NatReport | null>(parseNat(word))
const keeping = 'port-independent/address-and-port-dependent'
const moving = 'address-and-port-dependent/address-and-port-dependent'

describe('two sides without a path', () => {
  test('name both NATs, each from where it stands, and what can be done', async () => {
    const { access, share } = pair(known(keeping), known(moving))
    await until(() => [access, share].every((side) => sentence(side).includes('cannot be crossed')))
    expect(sentence(access)).toMatch(
      /no direct path .* this side is .*endpoint-independent.*, and the other side behind .*, so the two cannot be crossed$/,
    )
    expect(sentence(share)).toMatch(
      /this side is behind a NAT with address-and-port-dependent mapping .* other side .*endpoint-independent/,
    )
    expect(access.negotiation.noPath()).toMatchObject({
      code: 'link-timeout',
      next: expect.stringContaining('keeps its ports'),
    })
  })

  test('tell each other a NAT that is found only after the descriptions have left', async () => {
    const [near, far] = [deferred<NatReport | null>(), deferred<NatReport | null>()]
    const { access, share } = pair(
      () => near.promise,
      () => far.promise,
    )
    await until(() => [access, share].every(({ said }) => said.some(({ nat }) => nat === null)))
    near.resolve(parseNat(keeping))
    await until(() => sentence(share).includes('the other side is behind a NAT with endpoint-independent'))
    far.resolve(parseNat(moving))
    await until(() => [access, share].every((side) => sentence(side).includes('cannot be crossed')))
    expect(access.said.filter(({ type }) => type === 'nat')).toHaveLength(1)
  })

  test('say what they know beside a side of before, which is told nothing it does not understand', async () => {
    const near = deferred<NatReport | null>()
    const { access, share } = pair(
      () => near.promise,
      undefined,
      ({ nat, ...signal }) => signal,
    )
    await until(() => share.said.length > 1)
    near.resolve(parseNat(moving))
    await until(() => sentence(access).includes('this side is behind a NAT with address-and-port-dependent'))
    expect(sentence(access)).toContain('the NAT of the other side does is not known')
    expect(access.said.map(({ type }) => type)).not.toContain('nat')
    expect(sentence(share)).toContain('not known')
  })

  test('say so when the other side never answered', () => {
    const { access } = pair(known(keeping), known(moving), () => ({ type: 'candidate', candidate: { candidate: '' } }))
    expect(access.negotiation.noPath()).toMatchObject({
      code: 'link-timeout',
      message: expect.stringMatching(/not answer/),
    })
  })
})

test('a side whose other side gives up first knows why', async () => {
  const gone = new NearportError('peer-gone', 'the signaling server ended the negotiation')
  const crossed = pair(known(keeping), known(moving)).share.negotiation
  expect(crossed.abandoned(gone)).toBe(gone)
  await until(() => crossed.abandoned(gone).code === 'link-timeout')
  expect(crossed.abandoned(gone).message).toMatch(/gave up .*cannot be crossed/)
  const busy = new NearportError('server-busy', 'too many sessions')
  expect(crossed.abandoned(busy)).toBe(busy)
  const blocked = pair(known(keeping), known(keeping)).share.negotiation
  await until(() => blocked.abandoned(gone) !== gone)
  expect(blocked.abandoned(gone)).toMatchObject({
    code: 'peer-gone',
    message: expect.stringContaining('something on the way drops UDP'),
  })
})
