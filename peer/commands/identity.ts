/** identity: who this environment is, and how it moves to another computer. */
import type { Command } from 'commander'
import { identityFingerprint } from '../../shared/fingerprint.ts'
import { Config } from '../config.ts'
import { exportEnvironment, importEnvironment } from '../moving.ts'

export function registerIdentityCommands(program: Command): void {
  const identity = program
    .command('identity')
    .description('show who this environment is, or move it to another computer')
  identity
    .command('show')
    .description('print the fingerprint by which others know this environment')
    .action(async () => {
      process.stdout.write(`${identityFingerprint((await new Config().identity()).publicKey)}\n`)
    })
  identity
    .command('export')
    .description('write this environment to a new file: its identity, link, targets and known owners. Keep it secret')
    .argument('<file>')
    .action(async (file: string) => {
      const fingerprint = identityFingerprint(await exportEnvironment(new Config(), file))
      process.stdout.write(
        `${fingerprint} is in ${file}. Stop nearport here before it starts there, and remove the file.\n`,
      )
    })
  identity
    .command('import')
    .description('make this environment the one that `nearport identity export` wrote')
    .argument('<file>')
    .option('--replace', 'give up the identity that is here, and the names that belong to it')
    .action(async (file: string, { replace }: { replace?: true }) => {
      const publicKey = await importEnvironment(new Config(), file, replace === true)
      process.stdout.write(`this environment is ${identityFingerprint(publicKey)} from now on. Remove ${file}.\n`)
    })
}
