/** What becomes of a job, and what should. */
import { expect } from '@jest/globals'
import { LIMITS } from '../../shared/limits.ts'
import type { LogLine } from '../support/tunnel.ts'
import type { Host } from './lab.ts'
import { type Kind, WORDS } from './nat-words.ts'
import type { KnownAccess, Tunnels } from './programs.ts'

export type Outcome =
  | { readonly works: true }
  | {
      readonly works: false
      /** How the till's connection ended. */
      readonly ended: string | undefined
      /** from the till's connection to its end */
      readonly seconds: number
      /** Why, as each side logs it; the job may have ended otherwise than by a reset. */
      readonly access?: Told
      readonly share?: Told
    }

interface Told {
  readonly code: string | undefined
  readonly reason: string | undefined
  readonly next: unknown
  /** From the first attempt to make a link to its end; NaN if the job did not fail by that. */
  readonly seconds: number
}

/** Why a job is to fail: what stands before each side, and what that comes to. */
export interface Failing {
  readonly access: Kind
  readonly share: Kind
  readonly because: 'not-crossed' | 'dropped'
}

/** bytes */
const JOB = 100_000
/** Seconds after its deadline that a failure may show on a machine with much else to do. */
const LATE = 3

const SENTENCES = {
  'not-crossed': { says: 'so the two cannot be crossed', next: /whose NAT keeps its ports, use IPv6 on both sides/ },
  dropped: { says: 'the two should meet, but something on the way drops UDP', next: /allow UDP both ways/ },
} as const

/** Sends a job from a till on the host of the access to a name. It works if the printer got it byte for byte. */
export async function print(tunnels: Tunnels, host: Host, access: KnownAccess, name: string): Promise<Outcome> {
  const before = access.log.length
  const till = tunnels.till(host, access, name, { send: JOB })
  const { ms: began } = await till.told('connected')
  const { event, text, code, ms } = await till.ended(60)
  const seconds = (ms - began) / 1000
  if (event === 'reset') {
    const reset = await access.resetLogged(name, before)
    return { works: false, ended: code, seconds, ...(await whatWasTold(tunnels, access, name, reset)) }
  }
  // The printer answers with the hash of what it got.
  const { sha256 } = await till.told('sent')
  return text === sha256 ? { works: true } : { works: false, ended: `an end after "${text}"`, seconds }
}

/** Why the job failed, as the access says it, and when both sides first said so of their link. */
async function whatWasTold(tunnels: Tunnels, access: KnownAccess, name: string, reset: LogLine) {
  const isOnline = (line: LogLine) => line.msg === 'share presence' && line.name === name && line.state === 'online'
  const { time, peer } = await access.logged('the name online', isOnline)
  const told = ({ code, reason, next }: LogLine, at: LogLine | undefined): Told => ({
    code,
    reason,
    next,
    seconds: at === undefined ? Number.NaN : (at.time - time) / 1000,
  })
  // Any other reason is not of a link, of which there may be nothing to say then.
  if (reset.code !== 'link-timeout') return { access: told(reset, undefined) }
  const isClosed = (line: LogLine) => line.msg === 'link closed' && (line.peer === peer || line.owner === access.owner)
  const near = await access.logged('the end of the link', isClosed)
  const far = await tunnels.shareOf(name).logged('the end of the link', isClosed)
  return { access: told(reset, near), share: told(far, far) }
}

/** What works arrives whole; what does not is reset in time, and both logs say why, and what can be done. */
export function expectOutcome(outcome: Outcome | undefined, expected: 'works' | Failing): void {
  if (expected === 'works') {
    expect(outcome).toEqual({ works: true })
    return
  }
  expect(outcome).toMatchObject({ works: false, ended: 'ECONNRESET', access: { code: 'link-timeout' } })
  if (outcome?.works !== false) return
  const deadline = LIMITS.linkDeadline / 1000 + LATE
  expect(outcome.seconds).toBeLessThan(deadline)
  const { says, next } = SENTENCES[expected.because]
  for (const [own, other] of [
    ['access', 'share'],
    ['share', 'access'],
  ] as const) {
    const names = `over IPv4 this side is ${WORDS[expected[own]]}, and the other side ${WORDS[expected[other]]}: `
    const told = outcome[own]
    expect(told).toMatchObject({ reason: expect.stringContaining(names), next: expect.stringMatching(next) })
    expect(told?.reason).toContain(says)
    expect(told?.seconds).toBeLessThan(deadline)
  }
  // A share that is told first that it is over calls it so, unless it knows by itself that there can be no path.
  const codes = expected.because === 'dropped' ? ['link-timeout', 'peer-gone'] : ['link-timeout']
  expect(codes).toContain(outcome.share?.code)
}

/** In a few words, for a table. */
export const brief = (outcome: Outcome): string =>
  outcome.works ? 'works' : `fails: ${outcome.access?.code ?? outcome.ended} after ${outcome.seconds.toFixed(1)} s`
