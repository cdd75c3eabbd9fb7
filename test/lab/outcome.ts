/** What becomes of a job, and what should. */
import { expect } from '@jest/globals'
import { LIMITS } from '../../shared/limits.ts'
import type { Access } from '../support/tunnel.ts'
import type { Host } from './lab.ts'
import type { Tunnels } from './programs.ts'

export type Outcome =
  | { readonly works: true }
  | {
      readonly works: false
      /** How the till's connection ended, and why, as the access logs it. */
      readonly ended: string | undefined
      readonly code: string | undefined
      /** from the till's connection to its end */
      readonly seconds: number
    }

/** bytes */
const JOB = 100_000
/** Seconds after its deadline that a failure may show on a machine with much else to do. */
const LATE = 3

/** Sends a job from a till on the host of the access to a name. It works if the printer got it byte for byte. */
export async function print(tunnels: Tunnels, host: Host, access: Access, name: string): Promise<Outcome> {
  const before = access.log.length
  const till = tunnels.till(host, access, name, { send: JOB })
  const { ms: began } = await till.told('connected')
  const { event, text, code, ms } = await till.ended(60)
  const seconds = (ms - began) / 1000
  if (event === 'reset') {
    return { works: false, ended: code, code: (await access.resetLogged(name, before)).code, seconds }
  }
  // The printer answers with the hash of what it got.
  const { sha256 } = await till.told('sent')
  return text === sha256 ? { works: true } : { works: false, ended: `an end after "${text}"`, code: undefined, seconds }
}

/** What works arrives whole; what does not is reset in time, with the reason in the log. */
export function expectOutcome(outcome: Outcome | undefined, works: boolean): void {
  if (works) {
    expect(outcome).toEqual({ works: true })
    return
  }
  // The sentence that names the NAT is to be held to here, once there is one.
  expect(outcome).toMatchObject({ works: false, ended: 'ECONNRESET', code: 'link-timeout' })
  if (outcome?.works === false) expect(outcome.seconds).toBeLessThan(LIMITS.linkDeadline / 1000 + LATE)
}

/** In a few words, for a table. */
export const brief = (outcome: Outcome): string =>
  outcome.works ? 'works' : `fails: ${outcome.code} after ${outcome.seconds.toFixed(1)} s`
