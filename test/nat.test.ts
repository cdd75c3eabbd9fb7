/** What the answers of a STUN server say about a NAT, and what two NATs let through together. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIP } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { classes, Message, methods, parseMessage } from 'werift'
import { ownAddresses } from '../peer/addresses.ts'
import { findNat, NatWatch, reportOf } from '../peer/nat.ts'
import { bindingRequest, CHANGE, parseBindingAnswer } from '../peer/stun-message.ts'
import { behaviourFrom, formatNat, type NatBehaviour, type Observations, parseNat } from '../shared/nat.ts'
import { type Verdict, verdict, whyNoPath } from '../shared/verdict.ts'
import { type StunOptions, startStun } from '../signaling/stun.ts'
import { silentLog } from './support/links.ts'
import { runs } from './support/sample.ts'

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

describe('the behaviour of a NAT', () => {
  const at = (port: number) => ({ host: '198.51.100.1', port })
  /** A server with two addresses, of which nothing was heard but the first answer. */
  const seen: Observations = {
    mapped: at(1),
    isOwn: false,
    server: 'two-addresses',
    atPort: at(1),
    atAddress: at(1),
    atBoth: at(1),
    heardPort: false,
    heardBoth: false,
  }
  const onePort = { server: 'one-port', atPort: null, atAddress: null, atBoth: null } as const
  const oneAddress = { server: 'two-ports', atAddress: null, atBoth: null } as const

  test.each<[string, Partial<Observations>, NatBehaviour['mapping']]>([
    ['no answer', { mapped: null }, 'unanswered'],
    ['its own address', { isOwn: true }, 'none'],
    ['its own address, and no second port', { isOwn: true, ...onePort }, 'none'],
    ['one port everywhere', {}, 'endpoint-independent'],
    ['a port for each address', { atAddress: at(2), atBoth: at(2) }, 'address-dependent'],
    [
      'a port for each address and port',
      { atPort: at(2), atAddress: at(3), atBoth: at(4) },
      'address-and-port-dependent',
    ],
    ['another address, same port', { atAddress: { host: '198.51.100.2', port: 1 } }, 'address-and-port-dependent'],
    ['a port for each address, not all heard', { atAddress: at(2), atBoth: null }, 'address-dependent'],
    [
      'ports for each port, not all heard',
      { atAddress: at(2), atBoth: null, atPort: at(3) },
      'address-and-port-dependent',
    ],
    ['another port at the second address, little heard', { atAddress: at(2), atBoth: null, atPort: null }, 'unknown'],
    ['one address, one port there', oneAddress, 'port-independent'],
    ['one address, a port for each', { ...oneAddress, atPort: at(2) }, 'address-and-port-dependent'],
    ['a second port that is silent', { ...oneAddress, atPort: null }, 'unknown'],
    ['a second address that is silent', { atAddress: null, atBoth: null }, 'port-independent'],
    ['no second port', onePort, 'unknown'],
  ])('%s is its mapping', (_what, changes, mapping) => {
    expect(behaviourFrom({ ...seen, ...changes }).mapping).toBe(mapping)
  })

  test.each<[string, Partial<Observations>, NatBehaviour['filtering']]>([
    ['no answer', { mapped: null, heardBoth: true }, 'unknown'],
    ['anybody', { heardPort: true, heardBoth: true }, 'endpoint-independent'],
    ['another port of who was asked', { heardPort: true }, 'address-dependent'],
    ['nobody who was not asked', {}, 'address-and-port-dependent'],
    ['another port, of a server with one address', { ...oneAddress, heardPort: true }, 'port-independent'],
    ['another port, and the second address is silent', { atBoth: null, heardPort: true }, 'port-independent'],
    ['nobody, of a server with one address', oneAddress, 'address-and-port-dependent'],
    ['nobody, but the second port may be dead', { ...oneAddress, atPort: null }, 'unknown'],
    ['nobody, as there is nobody', onePort, 'unknown'],
  ])('%s is heard: its filtering', (_what, changes, filtering) => {
    expect(behaviourFrom({ ...seen, ...changes }).filtering).toBe(filtering)
  })
})

/** Short names for the NATs that there are. */
const KINDS: Readonly<Record<string, string>> = {
  public: 'none/endpoint-independent',
  firewall: 'none/address-and-port-dependent',
  open: 'endpoint-independent/endpoint-independent',
  open1: 'port-independent/port-independent',
  address: 'endpoint-independent/address-dependent',
  port: 'endpoint-independent/address-and-port-dependent',
  port1: 'port-independent/address-and-port-dependent',
  moving: 'address-and-port-dependent/address-and-port-dependent',
  'moving-open': 'address-and-port-dependent/endpoint-independent',
  'moving-address': 'address-dependent/address-dependent',
  unknown: 'unknown/unknown',
  deaf: 'unanswered/unknown',
}
const nat = (kind: string) => parseNat(KINDS[kind] ?? kind)

describe('two peers', () => {
  test.each<[string, string, Verdict['meet']]>([
    ['public', 'moving', 'yes'],
    ['firewall', 'firewall', 'yes'],
    ['firewall', 'moving', 'no'],
    ['open', 'moving', 'yes'],
    ['open1', 'moving', 'yes'],
    ['address', 'moving', 'yes'],
    ['address', 'moving-address', 'yes'],
    ['port', 'port', 'yes'],
    ['port1', 'port', 'yes'],
    ['port1', 'public', 'yes'],
    ['port', 'moving', 'no'],
    ['port1', 'moving', 'no'],
    ['port', 'moving-address', 'no'],
    ['port', 'moving-open', 'unknown'],
    ['moving', 'moving', 'no'],
    ['moving', 'moving-address', 'no'],
    ['moving', 'moving-open', 'unknown'],
    ['unknown', 'public', 'unknown'],
    ['deaf', 'public', 'unknown'],
    ['deaf', 'deaf', 'unknown'],
    ['ipv4:none/unknown', 'ipv6:none/unknown', 'no'],
    ['offline', 'public', 'no'],
    // Two families: one that works is enough.
    [`ipv4:${KINDS.moving},ipv6:${KINDS.firewall}`, `ipv4:${KINDS.moving},ipv6:${KINDS.firewall}`, 'yes'],
    [`ipv4:${KINDS.moving},ipv6:${KINDS.unknown}`, `ipv4:${KINDS.moving},ipv6:${KINDS.unknown}`, 'unknown'],
    [`ipv4:${KINDS.moving},ipv6:${KINDS.firewall}`, `ipv4:${KINDS.moving}`, 'no'],
  ])('behind %s and %s: %s, from either side', (one, other, meet) => {
    for (const [near, far] of [
      [one, other],
      [other, one],
    ] as const) {
      expect(verdict(nat(near), nat(far)).meet).toBe(meet)
    }
  })

  test('are told which NAT is where, and what to do', () => {
    const { says, next } = verdict(nat('port'), nat('moving'))
    expect(says).toBe(
      'over IPv4 this side is behind a NAT with endpoint-independent mapping and address-and-port-dependent filtering, ' +
        'and the other side behind a NAT with address-and-port-dependent mapping and filtering: the NAT of the other ' +
        'side gives each connection another port, and the filter of this side lets in only the port it sent to, so ' +
        'the two cannot be crossed',
    )
    expect(next).toMatch(/whose NAT keeps its ports.*IPv6/)
  })

  test.each<[string | null, string | null, string]>([
    [null, null, 'not known'],
    ['moving', null, 'this side is behind a NAT with address-and-port-dependent mapping'],
    [null, 'moving', 'the other side is behind a NAT with address-and-port-dependent mapping'],
    [null, 'offline', 'the other side is on no network'],
    ['deaf', 'port', 'this side is where the STUN of the server is not heard'],
    ['port', 'deaf', 'the other side where the STUN of the server is not heard'],
    ['moving', 'moving', 'both NATs give each connection another port, so'],
    ['moving', 'firewall', 'the NAT of this side gives'],
    ['firewall', 'public', 'but something on the way drops UDP'],
    [`ipv4:${KINDS.moving},ipv6:${KINDS.unknown}`, `ipv4:${KINDS.moving},ipv6:${KINDS.unknown}`, 'cannot be crossed'],
    [`ipv4:${KINDS.moving},ipv6:${KINDS.firewall}`, `ipv4:${KINDS.port},ipv6:${KINDS.firewall}`, 'over IPv4'],
  ])('that did not meet, behind %s and %s, are told why: %s', (near, far, says) => {
    const [ours, theirs] = [near, far].map((kind) => (kind === null ? null : nat(kind)))
    expect(whyNoPath(ours ?? null, theirs ?? null).says).toContain(says)
  })
})

describe('the word for the other side', () => {
  test.each(['ipv4:none/unknown', 'ipv6:unanswered/unknown', `ipv4:${KINDS.port},ipv6:${KINDS.firewall}`, 'offline'])(
    '%s is read as it is written',
    (text) => {
      expect(formatNat(parseNat(text))).toBe(text)
    },
  )

  test('means IPv4 when it does not say', () => {
    expect(formatNat(nat('port'))).toBe(`ipv4:${KINDS.port}`)
  })

  test.each(['', 'none', 'none/', 'none/none', 'ipv5:none/unknown', 'none/unknown,none/unknown', 'none/unknown '])(
    '"%s" is refused',
    (text) => {
      expect(() => parseNat(text)).toThrow(expect.objectContaining({ code: 'usage' }))
    },
  )
})

describe('a STUN answer', () => {
  const mappings = [
    ['192.0.2.1', 4711],
    ['2001:db8::ff00:42:8329', 65_535],
    ['::1', 1],
  ] as const

  test.each(mappings)('that shows %s is read as werift writes it', (host, port) => {
    const answer = new Message(methods.BINDING, classes.RESPONSE).setAttribute('XOR-MAPPED-ADDRESS', [host, port])
    const transaction = answer.transactionIdHex
    const other = { host: '198.51.100.9', port: 7071 }
    expect(parseBindingAnswer(answer.bytes)).toEqual({ transaction, mapped: { host, port }, other: null })
    const full = answer.setAttribute('SOFTWARE', 'odd').setAttribute('OTHER-ADDRESS', [other.host, other.port])
    expect(parseBindingAnswer(full.bytes)).toEqual({ transaction, mapped: { host, port }, other })
  })

  test('to a request as werift reads it', () => {
    const { bytes, transaction } = bindingRequest(CHANGE.both)
    const request = parseMessage(bytes)
    expect(request).toMatchObject({ messageMethod: methods.BINDING, messageClass: classes.REQUEST })
    expect(request?.transactionIdHex).toBe(transaction)
    expect(request?.getAttributeValue('CHANGE-REQUEST')).toBe(6)
    expect(bytes).toHaveLength(92)
  })

  test.each([
    ['a request', new Message(methods.BINDING, classes.REQUEST)],
    ['a refusal', new Message(methods.BINDING, classes.ERROR)],
    ['an answer that shows nothing', new Message(methods.BINDING, classes.RESPONSE)],
    ['no port', new Message(methods.BINDING, classes.RESPONSE).setAttribute('XOR-MAPPED-ADDRESS', ['192.0.2.1', 0])],
  ])('%s is none', (_what, message) => {
    expect(parseBindingAnswer(message.bytes)).toBeNull()
  })

  test('may be any bytes at all', () => {
    const whole = new Message(methods.BINDING, classes.RESPONSE)
      .setAttribute('XOR-MAPPED-ADDRESS', ['192.0.2.1', 4711])
      .setAttribute('OTHER-ADDRESS', ['::', 7071]).bytes
    const damaged = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
      const bytes = Buffer.from(whole)
      for (const [at, value] of changes) bytes[at] = value
      return bytes
    })
    const anything = fc.oneof(
      damaged,
      fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
      fc.nat(whole.length).map((length) => whole.subarray(0, length)),
    )
    fc.assert(
      fc.property(anything, (bytes) => {
        const answer = parseBindingAnswer(bytes)
        expect(answer === null || isIP(answer.mapped.host) !== 0).toBe(true)
      }),
      runs(50_000),
    )
  })
})

describe('on loopback', () => {
  const start = async (options: Partial<StunOptions>) => {
    const common = { host: '127.0.0.1', port: 0, alternatePort: 0, alternateAddress: null, log: silentLog }
    const server = await startStun({ ...common, ...options })
    cleanups.push(() => server.close())
    return server
  }
  const linuxOnly = process.platform === 'linux' ? ['127.0.0.2'] : []

  test.each<[string, Partial<StunOptions>, string]>([
    ['one port', { alternatePort: null }, 'ipv4:none/unknown'],
    ['two ports', {}, 'ipv4:none/port-independent'],
    ...linuxOnly.map((alternateAddress): [string, Partial<StunOptions>, string] => [
      'two addresses',
      { alternateAddress },
      'ipv4:none/endpoint-independent',
    ]),
  ])('a server with %s finds no NAT', async (_what, options, word) => {
    const { port } = await start(options)
    const findings = await findNat({ host: '127.0.0.1', port })
    expect(findings.ipv4?.mapped?.host).toBe('127.0.0.1')
    expect(formatNat({ ...reportOf(findings), ipv6: null })).toBe(word)
  })

  const hasIPv6 = ownAddresses().includes('::1')
  const families = hasIPv6 ? (['127.0.0.1', '::1'] as const) : []
  test.each(families)('a server on all addresses of both families finds no NAT at %s', async (host) => {
    const { port } = await start({ host: '::' })
    const { ipv4, ipv6 } = await findNat({ host, port })
    const found = host === '::1' ? ipv6 : ipv4
    expect(found?.behaviour).toEqual({ mapping: 'none', filtering: 'port-independent' })
    expect(found?.mapped?.host).toBe(host)
  })

  test('a server that is silent is said to be so', async () => {
    const silent = createSocket('udp4')
    cleanups.push(() => void silent.close())
    silent.bind(0, '127.0.0.1')
    await once(silent, 'listening')
    let asked = 0
    silent.on('message', () => asked++)
    const findings = await findNat({ host: '127.0.0.1', port: silent.address().port })
    expect(findings.ipv4).toMatchObject({ behaviour: { mapping: 'unanswered' }, mapped: null })
    expect(asked).toBeGreaterThan(1)
  })

  test('a watch has a report once it found one', async () => {
    const { port } = await start({})
    const watch = new NatWatch(silentLog)
    expect(await watch.report()).toBeNull()
    watch.look({ host: '127.0.0.1', port })
    expect((await watch.report())?.ipv4).toEqual({ mapping: 'none', filtering: 'port-independent' })
    watch.look(null)
    expect(await watch.report()).toBeNull()
  })
})
