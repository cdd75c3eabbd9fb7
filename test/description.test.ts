import { fingerprint, formatDescription, parseDescription } from '../shared/description.ts'
import { outgoing } from '../shared/sdp.ts'
import { candidateTo, descriptionLines, sdpOf } from './support/hostile.ts'

const AA = Array.from({ length: 32 }, () => 'AA').join(':')
const BB = Array.from({ length: 32 }, () => 'BB').join(':')

describe('the fingerprint of a description', () => {
  test('is its one SHA-256, wherever and however often it stands', () => {
    expect(
      fingerprint(`v=0\r\na=fingerprint:sha-256 ${AA}\r\nm=x\r\na=fingerprint:SHA-256 ${AA.toLowerCase()}\r\n`),
    ).toBe(`sha-256 ${AA}`)
  })

  test.each([
    ['none', 'v=0\r\n'],
    ['two', `a=fingerprint:sha-256 ${AA}\r\na=fingerprint:sha-256 ${BB}\r\n`],
    ['another hash', `a=fingerprint:sha-1 ${AA}\r\n`],
    ['another hash beside it', `a=fingerprint:sha-256 ${AA}\r\na=fingerprint:sha-512 ${AA}\r\n`],
    ['a short one', 'a=fingerprint:sha-256 AA:BB\r\n'],
  ])('%s is refused', (_what, sdp) => {
    expect(() => fingerprint(sdp)).toThrow(expect.objectContaining({ code: 'sdp-invalid' }))
  })
})

/** The lines with those that begin with `start` replaced. */
const replaced = (start: string, ...by: string[]): string =>
  sdpOf(descriptionLines('offer').flatMap((line) => (line.startsWith(start) ? by : [line])))

describe('a description', () => {
  const lines = descriptionLines('offer')
  const host = candidateTo('192.168.1.2', 50_000)

  test('is written anew: nothing but its pieces gets through', () => {
    const strange = [
      'a=ice-lite',
      'a=end-of-candidates',
      'a=remote-candidates:1 127.0.0.1 161',
      'a=rtcp:161 IN IP4 127.0.0.1',
      'a=Candidate:1 1 udp 1 127.0.0.1 161 typ host',
      'c=IN IP4 127.0.0.1',
      'b=AS:0',
      'a=sctp-port:161',
      'a=max-message-size:1',
      'a=mid:other',
      'a=ice-options:renomination',
      'M=video 161 RTP/AVP 0',
    ]
    const clean = parseDescription(sdpOf(lines), 'offer')
    const dirty = parseDescription(sdpOf([...strange, ...lines, ...strange, `a=${host}`]), 'offer')
    expect(dirty).toEqual({ ...clean, candidates: [host] })
    const own = lines.filter((line) => line !== 'a=msid-semantic:WMS *')
    const expected = own.map((line) => (line.startsWith('o=') ? 'o=- 1 1 IN IP4 0.0.0.0' : line))
    expect(formatDescription(clean)).toBe(sdpOf(expected))
    expect(formatDescription(dirty)).toBe(sdpOf([...expected, `a=${host}`]))
  })

  test.each(['\n', '\r', '\r\n'])('may end its lines with %j', (end) => {
    const sdp = lines.join(end) + end
    expect(parseDescription(sdp, 'offer')).toEqual(parseDescription(sdpOf(lines), 'offer'))
  })

  test.each([
    ['nothing', ''],
    ['no section', replaced('m=')],
    ['two sections', replaced('m=', ...['', ''].map(() => 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel'))],
    ['a section of media', replaced('m=', 'm=audio 9 UDP/TLS/RTP/SAVPF 111')],
    ['two passwords', replaced('a=ice-pwd:', 'a=ice-pwd:16b7220603e1b05367ecf2', 'a=ice-pwd:26b7220603e1b05367ecf2')],
    ['the same password twice', replaced('a=ice-pwd:', ...['', ''].map(() => 'a=ice-pwd:16b7220603e1b05367ecf2'))],
    ['a password of 21 characters', replaced('a=ice-pwd:', `a=ice-pwd:${'x'.repeat(21)}`)],
    ['a password of 257 characters', replaced('a=ice-pwd:', `a=ice-pwd:${'x'.repeat(257)}`)],
    ['a user name of 3 characters', replaced('a=ice-ufrag:', 'a=ice-ufrag:abc')],
    ['a user name of 257 characters', replaced('a=ice-ufrag:', `a=ice-ufrag:${'x'.repeat(257)}`)],
    ['a user name with a colon', replaced('a=ice-ufrag:', 'a=ice-ufrag:ab:cd')],
    ['a user name with a space behind it', replaced('a=ice-ufrag:', 'a=ice-ufrag:abcd ')],
    ['a user name that is not ASCII', replaced('a=ice-ufrag:', 'a=ice-ufrag:abcdé')],
    ['no setup', replaced('a=setup:')],
    ['a setup of no known kind', replaced('a=setup:', 'a=setup:holdconn')],
    ['two fingerprints', replaced('a=fingerprint:', `a=fingerprint:sha-256 ${AA}`, `a=fingerprint:sha-256 ${BB}`)],
  ])('with %s is refused', (_what, sdp) => {
    expect(() => parseDescription(sdp, 'offer')).toThrow(expect.objectContaining({ code: 'sdp-invalid' }))
  })

  test('that answers has chosen its part in the handshake', () => {
    expect(() => parseDescription(sdpOf(lines), 'answer')).toThrow(expect.objectContaining({ code: 'sdp-invalid' }))
    expect(parseDescription(sdpOf(descriptionLines('answer')), 'answer').setup).toBe('active')
  })

  test('of ours leaves without relays, TCP, names, and the address behind a NAT', () => {
    const relay = 'candidate:1 1 UDP 1 198.51.100.7 3478 typ relay raddr 0.0.0.0 rport 0'
    const mapped = candidateTo('198.51.100.7', 4000, { type: 'srflx', more: ' raddr 192.168.1.2 rport 50000' })
    const unwanted = [relay, candidateTo('0c0ffee0.local', 50_000), candidateTo('192.168.1.2', 9, { transport: 'tcp' })]
    const withCandidates = [...lines, ...[host, ...unwanted, mapped].map((candidate) => `a=${candidate}`)]
    const left = outgoing({ type: 'offer', sdp: sdpOf(withCandidates), nat: null })
    const told = mapped.replace('192.168.1.2 rport 50000', '0.0.0.0 rport 9')
    const description = parseDescription(sdpOf(lines), 'offer')
    expect(left).toEqual({
      type: 'offer',
      sdp: formatDescription({ ...description, candidates: [host, told] }),
      nat: null,
    })
    const signal = (candidate: string) => outgoing({ type: 'candidate', candidate: { candidate, sdpMid: '0' } })
    expect(signal(mapped)).toEqual({ type: 'candidate', candidate: { candidate: told, sdpMid: '0' } })
    expect([...unwanted, ''].map(signal)).toEqual([null, null, null, null])
  })
})
