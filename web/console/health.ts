/** The one word for a share that its tile leads with. */
import type { ShareView } from '../browser/index.ts'

export type Condition = 'offline' | 'asked' | 'up' | 'down' | 'unknown' | 'off'

/** `asked`: its peer is there, but has not told yet. */
export function conditionOf({ state, status }: Pick<ShareView, 'state' | 'status'>): Condition {
  if (state === 'offline') return 'offline'
  return status === null ? 'asked' : status.health.state
}
