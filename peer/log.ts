/** Logs go to stderr: a line a person reads, or JSON where a program does. */
import { pino } from 'pino'
import pretty from 'pino-pretty'
import type { Log } from '../shared/log.ts'

export interface LogOptions {
  readonly level: string
  readonly json: boolean
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

export function makeLog({ level, json }: LogOptions): Log {
  // Synchronous, so that the last line before an exit is not lost.
  const stream = json
    ? pino.destination({ dest: 2, sync: true })
    : pretty({ destination: 2, sync: true, singleLine: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l' })
  return pino({ level }, stream)
}
