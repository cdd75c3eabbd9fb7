/** What would get to stderr past the log: with --log-json a program reads it, and takes nothing but JSON. */
import { format } from 'node:util'
import type { Log } from '../shared/log.ts'

/** How a process ends that has failed where nothing handles it; Node's own status. */
const FAILED = 1

/** Leads to the log what libraries write to the console, what Node warns of, and the failure that ends the process. */
export function leadToLog(log: Log): void {
  const at =
    (level: keyof Log) =>
    (...values: unknown[]) =>
      log[level]({ from: 'console' }, format(...values))
  // Results go to stdout, and nothing else does.
  Object.assign(console, {
    debug: at('debug'),
    log: at('info'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  })
  Object.assign(console, { trace: at('debug') })
  process.removeAllListeners('warning')
  process.on('warning', (warning) => {
    if (!isOfEd25519(warning)) log.warn({ from: 'node', type: warning.name }, warning.message)
  })
  process.on('uncaughtException', (error) => {
    log.error({ err: error }, 'the process failed')
    process.exit(FAILED)
  })
}

/** Node 20.19 still calls Ed25519 in WebCrypto experimental, at every start. */
const isOfEd25519 = ({ name, message }: Error): boolean => name === 'ExperimentalWarning' && message.includes('Ed25519')
