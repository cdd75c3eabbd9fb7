/** identity: who this environment is. */
import type { Command } from 'commander'
import { identityFingerprint } from '../../shared/fingerprint.ts'
import { Config } from '../config.ts'

export function registerIdentityCommands(program: Command): void {
  const identity = program.command('identity').description('show who this environment is')
  identity
    .command('show')
    .description('print the fingerprint by which others know this environment')
    .action(async () => {
      process.stdout.write(`${identityFingerprint((await new Config().identity()).publicKey)}\n`)
    })
}
