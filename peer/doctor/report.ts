/** What doctor found: one finding for each check, for people as it is found, for programs at the end. */
import type { CandidatePair } from '../../shared/engine.ts'
import { asNearportError, type ErrorCode } from '../../shared/errors.ts'
import { FAMILIES, type Family, type NatBehaviour } from '../../shared/nat.ts'
import { safeText } from '../../shared/safe-text.ts'
import type { Verdict } from '../../shared/verdict.ts'

export type CheckName = 'addresses' | 'server' | 'stun' | 'nat' | 'meet' | 'name' | 'link' | 'target'

export interface Finding {
  readonly check: CheckName
  /** As an exit status: 0 well, 1 not now, 2 not as asked. */
  readonly status: 0 | 1 | 2
  readonly code: ErrorCode | null
  readonly says: string
  /** What can be done; null if nothing need be. */
  readonly next: string | null
}

/** A NAT as `--json` shows it: with where the server sees this host. */
export type ShownNat = { readonly [F in Family]: (NatBehaviour & { readonly address: string | null }) | null }

export interface ShownShare {
  readonly name: string
  readonly state: 'online' | 'offline' | 'unknown'
  /** The identity that serves or reserved it. */
  readonly owner: string | null
  readonly own: boolean
  readonly engine: string | null
  readonly path: CandidatePair | null
  /** null: not tried. */
  readonly target: 'accepts' | ErrorCode | null
}

export interface Report {
  readonly status: 0 | 1 | 2
  /** The server, as the link names it; null where there is no link. */
  readonly server: string | null
  readonly checks: readonly Finding[]
  readonly nat: ShownNat | null
  /** What the other side gives to --with. */
  readonly token: string | null
  readonly meet: Verdict['meet'] | null
  readonly share: ShownShare | null
}

export const well = (check: CheckName, says: string, next: string | null = null): Finding => ({
  check,
  status: 0,
  code: null,
  says,
  next,
})

export const unwell = (check: CheckName, status: 1 | 2, says: string, next: string): Finding => ({
  check,
  status,
  code: null,
  says,
  next,
})

export function failed(check: CheckName, thrown: unknown): Finding {
  const error = asNearportError(thrown)
  return { check, status: error.exitStatus, code: error.code, says: error.message, next: error.next }
}

/** The worst of all. */
export const statusOf = (checks: readonly Finding[]): 0 | 1 | 2 =>
  checks.reduce<0 | 1 | 2>((worst, { status }) => (status > worst ? status : worst), 0)

const MARKS = ['ok', 'not now', 'no'] as const

/** A finding as people read it. */
export function formatFinding({ check, status, code, says, next }: Finding): string {
  const line = `${check.padEnd(9)}  ${MARKS[status].padEnd(7)}  ${safeText(says)}${code === null ? '' : ` (${code})`}\n`
  return next === null ? line : `${line}${' '.repeat(20)}next: ${safeText(next)}\n`
}

/** What is said once for each family a host has. */
export const eachFamily = (say: (family: Family, name: string) => string | null): string[] =>
  FAMILIES.flatMap((family) => say(family, family === 'ipv4' ? 'IPv4' : 'IPv6') ?? [])
