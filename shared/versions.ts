/**
 * Which version of the protocol two sides speak with each other. Each names in its hello the versions it speaks and
 * the optional parts it knows; both hellos are under the proofs of both sides, so that nobody in between can lower
 * or strip anything. What keeps anybody safe is part of every version from `LEAST_VERSION` on, and never optional.
 */
import * as v from 'valibot'
import { NearportError } from './errors.ts'
import { LIMITS } from './limits.ts'

/** Raised with every change that an older peer or server would misread. */
export const PROTOCOL_VERSION = 3
/** The oldest version that is spoken here. Raised when an older one turns out not to be safe. */
export const LEAST_VERSION = 3

const Version = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(LIMITS.versionMost))
const Capability = v.pipe(v.string(), v.regex(/^[a-z0-9](?:[a-z0-9-]{0,31})$/))

/** The fields of a hello; these stay in every later version. */
export const SpokenEntries = {
  /** the highest version, and the lowest */
  version: Version,
  least: Version,
  /** What is unknown to the reader is ignored. */
  capabilities: v.pipe(v.array(Capability), v.maxLength(LIMITS.capabilities)),
}

export interface Spoken {
  /** the highest version that a side speaks, and the lowest */
  readonly version: number
  readonly least: number
  /** Optional parts of the protocol that a side knows. */
  readonly capabilities: readonly string[]
}

/** What this build speaks. */
export const SPOKEN = { version: PROTOCOL_VERSION, least: LEAST_VERSION, capabilities: [] as string[] }

/** What both sides speak. */
export interface Agreed {
  readonly version: number
  readonly capabilities: ReadonlySet<string>
}

/**
 * The highest version that both speak, and the capabilities that both have. `names` are for the sentence of the error:
 * "the server" and "the peer", say. Throws `version-mismatch`, which says which of the two to update.
 */
export function agree(own: Spoken, other: Spoken, names: { readonly own: string; readonly other: string }): Agreed {
  const version = Math.min(own.version, other.version)
  if (version < own.least || version < other.least) {
    const behind = own.version < other.least ? names.own : names.other
    const says = `${names.other} speaks ${inWords(other)} of the protocol, ${names.own} ${inWords(own)}: update ${behind}`
    throw new NearportError('version-mismatch', says)
  }
  const known = new Set(own.capabilities)
  return { version, capabilities: new Set(other.capabilities.filter((capability) => known.has(capability))) }
}

export const inWords = ({ version, least }: Pick<Spoken, 'version' | 'least'>): string =>
  least === version ? `version ${version}` : `versions ${least} to ${version}`
