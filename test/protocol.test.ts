/** The bytes that docs/protocol.md gives for keys, transcripts and contexts: whoever implements it needs the same. */
import { readFile } from 'node:fs/promises'
import { expect, test } from '@jest/globals'
import { toBase64Url, utf8 } from '../shared/bytes.ts'
import {
  admissionTranscript,
  admissionVerifier,
  admittedTranscript,
  type Bytes,
  healthContext,
  networkId,
  randomBytes,
  SEAL_BYTES,
  Sealer,
  signalContext,
} from '../shared/crypto.ts'
import { type LinkFacts, transcript } from '../shared/proof.ts'

const K: Bytes = Uint8Array.from({ length: 32 }, (_, at) => at)
const hex = (bytes: Uint8Array | null) => Buffer.from(bytes ?? []).toString('hex')
/** Fields as L joins them, written down by hand. */
const fields = (...texts: string[]) =>
  texts.map((text) => text.length.toString(16).padStart(8, '0') + Buffer.from(text).toString('hex')).join('')

test('the verifier and the id of a network are those in the document', async () => {
  const verifier = await admissionVerifier(K)
  const [V, id] = [toBase64Url(verifier), toBase64Url(await networkId(verifier))]
  expect(V).toBe('GpZIVct4lhZRyTf3GIp16qD3dNzvAnS1jBbIjr6MxwI')
  expect(id).toBe('Np9IdE0rNOmoo2n64uMXdkmqjbDhWzZBgHjC-SMPW7g')
  const document = await readFile(new URL('../docs/protocol.md', import.meta.url), 'utf8')
  expect(document).toContain(`| V | \`${V}\` |\n| network id | \`${id}\` |`)
})

test('what is signed and authenticated at admission', () => {
  const network = utf8('N'.repeat(32))
  const said = fields('N'.repeat(32), '{"type":"hello"}', '{"type":"challenge"}')
  const [hello, challenge] = ['{"type":"hello"}', '{"type":"challenge"}']
  expect(hex(admissionTranscript(network, hello, challenge))).toBe(fields('nearport/3 admission') + said)
  expect(hex(admittedTranscript(network, hello, challenge))).toBe(fields('nearport/3 admitted') + said)
})

test('the transcript of a link has every byte of both hellos', async () => {
  const party = (of: string) => ({
    peer: `${of}-peer`,
    identity: `${of}-id`,
    fingerprint: `sha-256 ${of}`,
    hello: utf8(`{${of}}`),
  })
  const facts: LinkFacts = { session: 's', access: party('A'), share: party('S'), keyingMaterial: null }
  expect(hex(await transcript(facts))).toBe('24c04d6b1b5c571aca010b21673f5b7260b7051850eb67fdcb3bf628a97df711')
  for (const role of ['access', 'share'] as const) {
    const altered = { ...facts, [role]: { ...facts[role], hello: utf8('{X}') } }
    expect(hex(await transcript(altered))).not.toBe(hex(await transcript(facts)))
  }
  const keyed = await transcript({ ...facts, keyingMaterial: K })
  expect(hex(keyed)).toBe('7a7872d8dadf7d2a08f9fcbedfa75c2fd6650f62e67ebaf168d5be7f306e15d0')
})

test('what is authenticated with a signal and a health', () => {
  const [from, to] = [
    { peer: 'P', identity: 'I' },
    { peer: 'Q', identity: 'J' },
  ]
  expect(hex(signalContext('S', from, to, 10))).toBe(fields('nearport/3 signal', 'S', 'P', 'I', 'Q', 'J', '10'))
  expect(hex(healthContext('pc1', from))).toBe(fields('nearport/3 health', 'pc1', 'P', 'I'))
})

test('a session has a key of its own, and so has the health of a name', async () => {
  const plain = utf8('a signal')
  const context = utf8('place')
  const sealed = await (await Sealer.forSession(K, 'S')).seal(plain, context)
  expect(sealed.length).toBe(plain.length + SEAL_BYTES)
  expect(await (await Sealer.forSession(K, 'S')).open(sealed, context)).toEqual(plain)
  for (const other of [Sealer.forSession(K, 'T'), Sealer.forHealth(K, 'S'), Sealer.forSession(randomBytes(32), 'S')]) {
    expect(await (await other).open(sealed, context)).toBeNull()
  }
  // Made once, by an independent program: HKDF-SHA-256(K, "", "nearport/1 signals S"), AES-256-GCM with the IV 0.
  const known = Buffer.from('0000000000000000000000006eb1109d542be3f9fa78d532b2862d0912931b90e6a60436', 'hex')
  expect(await (await Sealer.forSession(K, 'S')).open(new Uint8Array(known), context)).toEqual(plain)
})
