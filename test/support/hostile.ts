/** A member of the network that means no good: it seals what it likes, and no engine of ours has made it. */
import { nanoid } from 'nanoid'
import { toBase64Url, utf8 } from '../../shared/bytes.ts'
import { type Bytes, randomBytes, Sealer, signalContext } from '../../shared/crypto.ts'
import type { PeerRef } from '../../shared/peer-key.ts'

/** A peer that is not there, as a negotiation names it. */
export const someone = (): PeerRef => ({ peer: nanoid(), identity: toBase64Url(randomBytes(32)) })

/** Seals anything as the next signal of `from` to `to`. */
export function sealing(key: Bytes, session: string, from: PeerRef, to: PeerRef): (signal: unknown) => Promise<string> {
  const sealer = Sealer.forSession(key, session)
  let count = 0
  return async (signal) => {
    const plain = utf8(typeof signal === 'string' ? signal : JSON.stringify(signal))
    return toBase64Url(await (await sealer).seal(plain, signalContext(session, from, to, count++)))
  }
}

/** The lines of a description as engines make them, with a certificate that nobody has. */
export function descriptionLines(type: 'offer' | 'answer'): string[] {
  const hex = Buffer.from(randomBytes(32)).toString('hex').toUpperCase()
  return [
    'v=0',
    'o=- 17407937 0 IN IP4 0.0.0.0',
    's=-',
    't=0 0',
    'a=group:BUNDLE 0',
    'a=msid-semantic:WMS *',
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'c=IN IP4 0.0.0.0',
    'a=ice-ufrag:ddbe',
    'a=ice-pwd:16b7220603e1b05367ecf2',
    'a=ice-options:trickle',
    `a=fingerprint:sha-256 ${hex.match(/../g)?.join(':')}`,
    `a=setup:${type === 'offer' ? 'actpass' : 'active'}`,
    'a=mid:0',
    'a=sctp-port:5000',
    'a=max-message-size:65536',
  ]
}

/** Lines as a text that keeps each one's own end, if it has one. */
export const sdpOf = (lines: readonly string[]): string =>
  lines.map((line) => (/[\r\n]$/.test(line) ? line : `${line}\r\n`)).join('')

export interface CandidateChange {
  readonly transport?: string
  readonly type?: string
  readonly priority?: number
  readonly more?: string
}

export function candidateTo(address: string, port: number, change: CandidateChange = {}): string {
  const { transport = 'udp', type = 'host', priority = 2_116_026_367, more = '' } = change
  return `candidate:1 1 ${transport} ${priority} ${address} ${port} typ ${type}${more}`
}
