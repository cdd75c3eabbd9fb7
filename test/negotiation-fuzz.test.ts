/** What a member of the network may seal, against what reads it, and against the engines behind that. */
import assert from 'node:assert/strict'
import { BlockList, isIP, isIPv6 } from 'node:net'
import { afterAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { nanoid } from 'nanoid'
import { RemoteCandidates } from '../shared/candidates.ts'
import { Sealer } from '../shared/crypto.ts'
import { deferred } from '../shared/deferred.ts'
import { type Description, formatDescription, parseDescription } from '../shared/description.ts'
import { NearportError } from '../shared/errors.ts'
import { Negotiation } from '../shared/negotiation.ts'
import { decodeSignal, type Signal } from '../shared/sdp.ts'
import { heapUsed } from './support/heap.ts'
import { sealing, someone } from './support/hostile.ts'
import { availableEngines, newNetwork } from './support/links.ts'
import { runs, sample } from './support/sample.ts'
import { spoiltSignal } from './support/spoil.ts'

const engines = await availableEngines()
afterAll(async () => {
  for (const engine of engines) await engine.close()
})

/** By Node, and not by the table that is tested; two lists, as Node takes IPv4 for a part of IPv6. */
const forbidden = { ipv4: new BlockList(), ipv6: new BlockList() }
for (const [family, address, bits] of [
  ['ipv4', '0.0.0.0', 8],
  ['ipv4', '127.0.0.0', 8],
  ['ipv4', '169.254.0.0', 16],
  ['ipv4', '224.0.0.0', 3],
  ['ipv4', '100.100.100.200', 32],
  ['ipv6', '::', 3],
  ['ipv6', 'fe80::', 9],
  ['ipv6', 'ff00::', 8],
  ['ipv6', 'fd00:ec2::', 32],
] as const) {
  forbidden[family].addSubnet(address, bits, family)
}

const REBUILT =
  /^v=0\r\no=- 1 1 IN IP4 0\.0\.0\.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=application 9 UDP\/DTLS\/SCTP webrtc-datachannel\r\nc=IN IP4 0\.0\.0\.0\r\na=ice-ufrag:[\w+/]{4,256}\r\na=ice-pwd:[\w+/]{22,256}\r\na=ice-options:trickle\r\na=fingerprint:sha-256 (?:[0-9A-F]{2}:){31}[0-9A-F]{2}\r\na=setup:(?:actpass|active|passive)\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:65536\r\n$/
const ADMITTED =
  /^candidate:[\w+/]{1,32} 1 udp [1-9]\d{0,9} (\S+) (\d+) typ (host|srflx raddr (?:0\.0\.0\.0|::) rport 9)$/

interface Reading {
  readonly description: Description | null
  readonly candidates: readonly string[]
}

/** What an engine would be given; null if it is refused. */
function read(signal: unknown): Reading | null {
  try {
    const decoded: Signal = decodeSignal(
      Buffer.from(typeof signal === 'string' ? signal : String(JSON.stringify(signal))),
    )
    const isDescription = decoded.type === 'offer' || decoded.type === 'answer'
    const description = isDescription ? parseDescription(decoded.sdp, decoded.type) : null
    const texts = decoded.type === 'candidate' ? [decoded.candidate.candidate] : (description?.candidates ?? [])
    const remote = new RemoteCandidates({ loopback: false, linkLocal: false })
    return { description, candidates: texts.map((text) => remote.admit(text)).filter((text) => text !== null) }
  } catch (error) {
    assert(error instanceof NearportError && error.code === 'sdp-invalid', String(error))
    return null
  }
}

test(`engines are given only what was written anew, ${sample(20_000)} times`, () => {
  const seen = { refused: 0, descriptions: 0, candidates: 0, several: 0 }
  fc.assert(
    fc.property(spoiltSignal, (signal) => {
      const reading = read(signal)
      if (reading === null) {
        seen.refused++
        return
      }
      const { description, candidates } = reading
      if (description !== null) {
        seen.descriptions++
        assert.match(formatDescription({ ...description, candidates: [] }), REBUILT)
      }
      assert(candidates.length <= 32)
      if (candidates.length >= 5) seen.several++
      assert.equal(new Set(candidates.map((text) => text.split(' ').slice(4, 6).join(' '))).size, candidates.length)
      for (const candidate of candidates) {
        seen.candidates++
        const [, address = '', port, type] = ADMITTED.exec(candidate) ?? []
        assert(isIP(address) !== 0, candidate)
        const family = isIPv6(address) ? 'ipv6' : 'ipv4'
        assert(!forbidden[family].check(address, family), candidate)
        assert(Number(port) <= 65_535 && (Number(port) >= 1024 || type !== 'host'), candidate)
      }
    }),
    runs(20_000),
  )
  // Else it would have looked at one side only.
  for (const [what, count] of Object.entries(seen)) expect([what, count > sample(20_000) / 100]).toEqual([what, true])
})

/** Candidates go to engines only where no packet can come of them: nothing is to leave this host. */
const isSilent = (signal: unknown): boolean => (read(signal)?.candidates.length ?? 0) === 0

test.each(engines.map((engine) => [engine.name, engine] as const))(
  `%s lives through ${sample(5000)} of them, and nothing stays`,
  async (_name, engine) => {
    const { key } = newNetwork()
    const codes = new Map<string, number>()
    let before = 0
    let done = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(spoiltSignal.filter(isSilent), { minLength: 8, maxLength: 12 }),
        fc.boolean(),
        async (signals, initiator) => {
          done += signals.length
          if (done > sample(5000) / 10) before ||= heapUsed()
          const [session, self, remote] = [nanoid(), someone(), someone()]
          const seal = sealing(key, session, remote, self)
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
          const over = new Promise<NearportError>((resolve) => {
            victim.onclose = resolve
          })
          if (initiator) await offer.promise
          for (const signal of signals) victim.receiveSignal(await seal(signal))
          // Whatever came before it: this one ends it.
          victim.receiveSignal('AAAA')
          const { code } = await over
          codes.set(code, (codes.get(code) ?? 0) + 1)
        },
      ),
      runs(500),
    )
    expect(
      [...codes.keys()].filter(
        (code) => !['sdp-invalid', 'signal-refused', 'link-lost', 'link-timeout'].includes(code),
      ),
    ).toEqual([])
    expect(codes.get('sdp-invalid')).toBeGreaterThan(sample(500) / 10)
    expect(heapUsed() - before).toBeLessThan(32 * 1024 * 1024)
  },
)
