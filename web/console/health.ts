/** The one word for a share that its tile leads with. */
import type { ShareView } from '../browser/index.ts'

export type Condition = 'changed' | 'offline' | 'asked' | 'up' | 'down' | 'unknown' | 'off'

/** `asked`: its peer is there, but has not told yet. `changed`: its owner is not the one that is known. */
export function conditionOf({ state, status, owner, knownOwner }: ConditionOf): Condition {
  if (knownOwner !== null && knownOwner !== owner) return 'changed'
  if (state === 'offline') return 'offline'
  return status === null ? 'asked' : status.health.state
}

type ConditionOf = Pick<ShareView, 'state' | 'status' | 'owner' | 'knownOwner'>
