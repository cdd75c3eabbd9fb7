/**
 * Session descriptions (RFC 8866) of one data section. What arrives is never given to an engine as it is: the few pieces
 * that differ are read, and a description of our own is written around them.
 */
import { NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'

export interface Description {
  /** RFC 8839 section 5.4 */
  readonly ufrag: string
  readonly pwd: string
  /** See {@link fingerprint}. */
  readonly fingerprint: string
  /** Who begins the DTLS handshake (RFC 8842 section 5.1). */
  readonly setup: 'actpass' | 'active' | 'passive'
  /** What stands behind "a=" in lines of candidates, unread. */
  readonly candidates: readonly string[]
}

const UFRAG = /^[A-Za-z0-9+/]{4,256}$/
const PWD = /^[A-Za-z0-9+/]{22,256}$/
const SETUP = { offer: /^(?:actpass|active|passive)$/, answer: /^(?:active|passive)$/ }
/** RFC 8841 section 4; the port is that of a candidate, which is read elsewhere. */
const DATA_SECTION = /^application \d+ UDP\/DTLS\/SCTP webrtc-datachannel$/

/** Lines that are not asked for count for nothing. Throws `sdp-invalid`. */
export function parseDescription(sdp: string, type: 'offer' | 'answer'): Description {
  const lines = sdp.split(/\r\n|[\r\n]/)
  const values = (start: string) =>
    lines.filter((line) => line.startsWith(start)).map((line) => line.slice(start.length))
  const only = (start: string, pattern: RegExp): string => {
    const [value, ...others] = values(start)
    // A second one might be the one that an engine goes by; a bad value is not shown, as it may be a password.
    if (value === undefined || others.length > 0 || !pattern.test(value)) {
      throw new NearportError('sdp-invalid', `a session description needs one valid line "${start}"`)
    }
    return value
  }
  only('m=', DATA_SECTION)
  return {
    ufrag: only('a=ice-ufrag:', UFRAG),
    pwd: only('a=ice-pwd:', PWD),
    fingerprint: fingerprint(sdp),
    setup: only('a=setup:', SETUP[type]) as Description['setup'],
    candidates: values('a=').filter((value) => value.startsWith('candidate:')),
  }
}

/** What all engines agree on: section 0, SCTP port 5000, and messages as long as the frames of a link may be. */
export function formatDescription({ ufrag, pwd, fingerprint, setup, candidates }: Description): string {
  const lines = [
    'v=0',
    'o=- 1 1 IN IP4 0.0.0.0',
    's=-',
    't=0 0',
    'a=group:BUNDLE 0',
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'c=IN IP4 0.0.0.0',
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${pwd}`,
    'a=ice-options:trickle',
    `a=fingerprint:${fingerprint}`,
    `a=setup:${setup}`,
    'a=mid:0',
    'a=sctp-port:5000',
    `a=max-message-size:${LIMITS.messageBytes}`,
    ...candidates.map((candidate) => `a=${candidate}`),
  ]
  return lines.map((line) => `${line}\r\n`).join('')
}

/**
 * The one SHA-256 certificate fingerprint a description names (RFC 8122). Throws `sdp-invalid` if there is none or
 * there are several: with a choice, the one that was proven might not be the one that was used.
 */
export function fingerprint(sdp: string): string {
  const found = new Set<string>()
  for (const match of sdp.matchAll(/^a=fingerprint:(\S+)\s+(\S+)\s*$/gim)) {
    found.add(`${match[1]?.toLowerCase()} ${match[2]?.toUpperCase()}`)
  }
  const [only, ...others] = found
  if (only === undefined || others.length > 0 || !/^sha-256 (?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/.test(only)) {
    throw new NearportError('sdp-invalid', 'a session description must name exactly one SHA-256 fingerprint')
  }
  return only
}
