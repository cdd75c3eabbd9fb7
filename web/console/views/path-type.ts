import type { Words } from '../words.ts'

/** `type`: of an ICE candidate, or null while there is none. */
export const pathType = (type: string | null, { pathTypes }: Words): string =>
  type === 'host' || type === 'srflx' || type === 'prflx' ? pathTypes[type] : pathTypes.unknown
