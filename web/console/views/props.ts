import type { Desk } from '../desk.ts'

export interface DeskProps {
  readonly desk: Desk
}
