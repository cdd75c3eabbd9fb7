import { LIMITS } from '../shared/limits.ts'

/** The limits of one server; tests put smaller ones. */
export type Limits = { readonly [K in keyof typeof LIMITS]: number }

export const withLimits = (overrides: Partial<Limits> = {}): Limits => ({ ...LIMITS, ...overrides })
