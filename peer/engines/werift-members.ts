import { NearportError } from '../../shared/errors.ts'

/**
 * Throws `engine-missing` unless `object` has all these members: what nearport replaces inside werift is private there, and
 * a werift without it must not run without what makes it safe.
 */
export function requireMembers(what: string, object: object, members: readonly string[]): void {
  const missing = members.filter((member) => !(member in object))
  if (missing.length === 0) return
  throw new NearportError('engine-missing', `${what} of this werift lacks ${missing.join(', ')}`, {
    next: 'install the version of werift that nearport was made with, or use --engine native',
  })
}
