#!/usr/bin/env node
/** The command line: what each command does is in peer/ and signaling/; here they meet, and errors become words. */
import { createRequire } from 'node:module'
import { Command, CommanderError, Option } from 'commander'
import { leadToLog } from './host/stderr.ts'
import { registerAccessCommands } from './peer/commands/access.ts'
import { registerDoctorCommand } from './peer/commands/doctor.ts'
import { registerEnvironmentCommands } from './peer/commands/environment.ts'
import { registerIdentityCommands } from './peer/commands/identity.ts'
import { registerShareCommands } from './peer/commands/shares.ts'
import { registerTrustCommand } from './peer/commands/trust.ts'
import { Config } from './peer/config.ts'
import { LOG_LEVELS, type LogOptions, makeLog } from './peer/log.ts'
import { asNearportError, ERRORS, explained } from './shared/errors.ts'
import { safeStack } from './shared/safe-text.ts'
import { registerSignalCommand } from './signaling/command.ts'

const { version } = createRequire(import.meta.url)('nearport/package.json') as { version: string }

/** The others read the folder of the environment, or write there. */
const WITHOUT_ENVIRONMENT = ['signal', 'version']

const program = new Command('nearport')
  .description('Brings a far TCP port near, peer to peer.')
  .addOption(
    new Option('--log-level <level>', 'how much to log (default: info)').choices(LOG_LEVELS).env('NEARPORT_LOG_LEVEL'),
  )
  .addOption(new Option('--log-json', 'log as JSON, for programs'))
  .exitOverride()
  .showHelpAfterError('(--help says more)')

/** `quiet`: for commands that are over at once, whose result says enough. */
const log = ({ quiet = false } = {}) => {
  const { logLevel, logJson } = program.opts<{ logLevel?: LogOptions['level']; logJson?: true }>()
  return makeLog({ level: logLevel ?? (quiet ? 'warn' : 'info'), json: logJson === true })
}

/** The options may not have been read when something fails. */
const isJson = process.argv.includes('--log-json')
const failures = makeLog({ level: 'info', json: isJson })
leadToLog(failures)
program.configureOutput({
  writeErr: (text) => {
    if (isJson) failures.error({ code: 'usage' }, text.trim())
    else process.stderr.write(text)
  },
})
program.hook('preAction', async (_program, command) => {
  if (!WITHOUT_ENVIRONMENT.includes(command.name())) await new Config().keepPrivate(log({ quiet: true }))
})
registerSignalCommand(program, log)
registerEnvironmentCommands(program, { log })
registerShareCommands(program, { log })
registerAccessCommands(program, { log })
registerTrustCommand(program, { log })
registerIdentityCommands(program)
/** What doctor found. */
let findings: 0 | 1 | 2 = 0
registerDoctorCommand(program, { log }, (status) => {
  findings = status
})
program
  .command('version')
  .description('print the version')
  .action(() => {
    process.stdout.write(`nearport ${version}\n`)
  })

/** The exit status: 0 done, 1 may succeed later, 2 will not succeed as asked. */
async function run(): Promise<0 | 1 | 2> {
  try {
    await program.parseAsync()
    return findings
  } catch (thrown) {
    // commander has printed its own sentence.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : ERRORS.usage.exit
    const error = asNearportError(thrown)
    if (isJson) {
      failures.error(
        { ...explained(error), ...(error.code === 'internal' && { err: error.cause }) },
        'the command failed',
      )
      return error.exitStatus
    }
    process.stderr.write(`nearport: ${error.message} (${error.code})\n  next: ${error.next}\n`)
    if (error.code === 'internal' && error.cause instanceof Error)
      process.stderr.write(`${safeStack(error.cause.stack ?? '')}\n`)
    return error.exitStatus
  }
}

// Engines may leave threads and timers behind that would keep the process up.
process.exit(await run())
