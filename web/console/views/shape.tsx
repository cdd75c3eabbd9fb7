/** A state as a shape: nobody has to tell colours apart. The words beside it say the same. */
import type { Condition } from '../health.ts'

export type ShapeKind = Condition | 'here' | 'away' | 'busy' | 'done' | 'failed' | 'waiting' | 'cancelled' | 'printer'

const RING = 'M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 1 1 0-11z'
const DISC_WITH_TICK = 'M8 1.5a6.5 6.5 0 1 1 0 13a6.5 6.5 0 1 1 0-13zM4.6 8.2l2.4 2.4 4.4-4.8'
const DIAMOND_WITH_MARK = 'M8 .6l7.4 7.4-7.4 7.4-7.4-7.4zM8 4.7v3.9M8 11.3v.1'
const SQUARE = 'M3 3h10v10H3z'

const PATHS: Readonly<Record<ShapeKind, string>> = {
  up: DISC_WITH_TICK,
  done: DISC_WITH_TICK,
  here: DISC_WITH_TICK,
  down: DIAMOND_WITH_MARK,
  changed: DIAMOND_WITH_MARK,
  failed: DIAMOND_WITH_MARK,
  away: DIAMOND_WITH_MARK,
  offline: SQUARE,
  cancelled: `${SQUARE}M3 13L13 3`,
  asked: RING,
  unknown: RING,
  off: `${RING}M5 8h6`,
  waiting: `${RING}M8 5v3l2 1.5`,
  busy: 'M8 2.5a5.5 5.5 0 1 1-5.5 5.5',
  printer: 'M4 6V2.5h8V6M2 6h12v5h-2.5M4.5 11H2V6M4.5 9h7v5l-1.2-.8-1.2.8-1.1-.8-1.1.8-1.2-.8-1.2.8z',
}

/** Their marks lie on a filled body. */
const FILLED: readonly ShapeKind[] = ['up', 'done', 'here', 'down', 'changed', 'failed', 'away']

export function Shape({ kind }: { readonly kind: ShapeKind }) {
  return (
    <svg class={`shape ${FILLED.includes(kind) ? 'filled' : 'drawn'}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[kind]} />
    </svg>
  )
}
