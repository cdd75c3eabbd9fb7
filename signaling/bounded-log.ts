import type { Log } from '../shared/log.ts'

/**
 * Writes each message up to `most` times in `interval` ms, and then how many of its lines were left out: nobody is to
 * fill the disk of a server by what he sends it. `stop` tells what has not been told.
 */
export function boundedLog(log: Log, most: number, interval: number): Log & { stop(): void } {
  const counts = new Map<string, number>()
  let timer: NodeJS.Timeout | undefined
  const tell = () => {
    clearTimeout(timer)
    timer = undefined
    for (const [line, count] of counts) {
      if (count > most) log.warn({ line, leftOut: count - most }, 'left lines out of the log')
    }
    counts.clear()
  }
  const at = (level: 'debug' | 'info' | 'warn' | 'error') => (fields: object, message: string) => {
    const count = (counts.get(message) ?? 0) + 1
    counts.set(message, count)
    timer ??= setTimeout(tell, interval).unref()
    if (count <= most) log[level](fields, message)
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), stop: tell }
}
