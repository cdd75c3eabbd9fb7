/** Logs go to stderr: a line a person reads, or JSON where a program does. */
import { type LogFn, type Logger, pino } from 'pino'
import pretty from 'pino-pretty'
import type { Log } from '../shared/log.ts'
import { safeStack, safeStrings, safeText } from '../shared/safe-text.ts'

export interface LogOptions {
  readonly level: string
  readonly json: boolean
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

/** bytes of lines that are kept while they cannot be written */
const UNWRITTEN = 1024 * 1024

export function makeLog({ level, json }: LogOptions): Log {
  // Synchronous, so that the last line before an exit is not lost.
  const stream = json
    ? jsonLines()
    : pretty({ destination: 2, sync: true, singleLine: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l' })
  return pino({ level, formatters: { log: safeFields }, serializers: { err: asItIs }, hooks: { logMethod } }, stream)
}

/** What an engine, a library or another host put into a field may be anything. */
const safeFields = (fields: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? safeError(value) : safeStrings(value)]),
  )

function safeError(error: Error): object {
  const { stack, ...rest } = pino.stdSerializers.err(error)
  return { ...safeStrings(rest), stack: safeStack(stack) }
}

/** {@link safeFields} did it. */
const asItIs = (value: unknown) => value

function logMethod(this: unknown, args: Parameters<LogFn>, method: LogFn): void {
  method.apply(
    this as Logger,
    args.map((arg: unknown) => (typeof arg === 'string' ? safeText(arg) : arg)) as typeof args,
  )
}

/** A log that cannot be written, on a full disk or to a reader that has gone, does not end what carries jobs. */
function jsonLines() {
  const lines = pino.destination({ dest: 2, sync: true, maxLength: UNWRITTEN })
  // There is nowhere to say it; the lines are kept until they can be written, and lost beyond the bound.
  lines.on('error', () => undefined)
  return lines
}
