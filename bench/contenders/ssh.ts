/** `ssh -L` to an sshd of our own, with keys and a configuration that are thrown away. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Child } from '../../peer/demo/child.ts'
import { owned, temporaryFolder } from '../cleanup.ts'
import { find } from '../network/system.ts'
import { bulk } from '../tcp/load.ts'
import type { Contender, Way } from './contender.ts'
import { pidOf } from './nearport.ts'
import { freePorts, listening } from './ports.ts'

/** Full paths, as sshd insists on one. */
const [SSHD, SSH, KEYGEN] = ['sshd', 'ssh', 'ssh-keygen'].map(find)
/** sshd insists on it, and only its service makes it. */
const PRIVILEGE_FOLDER = '/run/sshd'

export const sshForward: Contender = {
  name: 'ssh -L',
  kind: 'tcp',
  comparedTo: ['raw TCP'],
  absent: async () =>
    SSHD && SSH && KEYGEN ? null : 'needs sshd, ssh and ssh-keygen: apt-get install openssh-server openssh-client',
  start: async (targets) => {
    const server = await SshServer.start()
    try {
      const { client, ports } = await server.forward(targets)
      return way(server, client, ports)
    } catch (error) {
      await server.close()
      throw error
    }
  },
}

function way(server: SshServer, client: Child, ports: readonly number[]): Way {
  return {
    ports,
    near: [pidOf(client)],
    far: [server.pid],
    bulk: (load) => bulk(ports, load),
    close: async () => {
      await client.stop()
      await server.close()
    },
  }
}

export class SshServer {
  readonly #folder: string
  readonly #port: number
  readonly #sshd: Child

  private constructor(folder: string, port: number, sshd: Child) {
    this.#folder = folder
    this.#port = port
    this.#sshd = sshd
  }

  get pid(): number {
    return pidOf(this.#sshd)
  }

  static async start(): Promise<SshServer> {
    const folder = temporaryFolder('ssh')
    for (const name of ['host-key', 'user-key']) {
      await promisify(execFile)(KEYGEN ?? '', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)])
    }
    await writeFile(join(folder, 'authorized'), await readFile(join(folder, 'user-key.pub')))
    if (userInfo().uid === 0) await mkdir(PRIVILEGE_FOLDER, { recursive: true, mode: 0o755 })
    const [port = 0] = await freePorts(1)
    const config = [
      'ListenAddress 127.0.0.1',
      `Port ${port}`,
      `HostKey ${join(folder, 'host-key')}`,
      `AuthorizedKeysFile ${join(folder, 'authorized')}`,
      `PidFile ${join(folder, 'sshd.pid')}`,
      'UsePAM no',
      'StrictModes no',
      'PasswordAuthentication no',
      'PermitRootLogin yes',
      'UseDNS no',
    ]
    await writeFile(join(folder, 'sshd_config'), `${config.join('\n')}\n`)
    const sshd = new Child('sshd', ['-D', '-e', '-f', join(folder, 'sshd_config')], { program: SSHD ?? '' })
    owned(sshd.process)
    await sshd.until('its port', ({ stderr }) => stderr.find((line) => line.startsWith('Server listening')))
    return new SshServer(folder, port, sshd)
  }

  /** A client that forwards to ports of 127.0.0.1. Resolves once it does. */
  async forward(targets: readonly number[]): Promise<{ client: Child; ports: number[] }> {
    const ports = await freePorts(targets.length)
    const client = this.client(targets, ports)
    for (const port of ports) await listening(port, client)
    return { client, ports }
  }

  /** A client that has just been started. */
  client(targets: readonly number[], ports: readonly number[]): Child {
    const options = [
      'StrictHostKeyChecking=no',
      `UserKnownHostsFile=${join(this.#folder, 'known')}`,
      'LogLevel=ERROR',
      'ExitOnForwardFailure=yes',
    ]
    const args = ['-F', 'none', '-N', '-i', join(this.#folder, 'user-key'), '-p', String(this.#port)]
    const forwards = ports.flatMap((port, index) => ['-L', `127.0.0.1:${port}:127.0.0.1:${targets[index]}`])
    const words = [...args, ...options.flatMap((option) => ['-o', option]), ...forwards]
    const client = new Child('ssh', [...words, `${userInfo().username}@127.0.0.1`], { program: SSH ?? '' })
    owned(client.process)
    return client
  }

  async close(): Promise<void> {
    await this.#sshd.stop()
  }
}
