/** Network namespaces: one for each host and router. They are named after this process, so that none is forgotten. */
import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { pathTo, run } from './system.ts'

const PREFIX = 'nplab'
const OURS = new RegExp(`^${PREFIX}-(\\d+)-`)
/** Where `ip netns` keeps them. */
const NAMESPACES = '/run/netns'
/** Where `ip netns exec` looks for files to put over those of /etc. */
const FILES = '/etc/netns'

/** One host or router: a network of its own, in which programs run. */
export class Namespace {
  readonly name: string
  /** The words before a program that make it run here; its process id is that of the program itself. */
  readonly launch: readonly string[]

  private constructor(name: string) {
    this.name = name
    this.launch = [pathTo('ip'), 'netns', 'exec', name]
  }

  static async create(name: string): Promise<Namespace> {
    const namespace = new Namespace(`${PREFIX}-${process.pid}-${name}`)
    await run('ip', ['netns', 'add', namespace.name])
    await namespace.ip('link set lo up')
    return namespace
  }

  /** The folder of files that programs here find in /etc instead of the system's own. */
  get files(): string {
    return `${FILES}/${this.name}`
  }

  /** Commands of `ip`, a line each. */
  async ip(...lines: readonly string[]): Promise<void> {
    await run('ip', ['-n', this.name, '-batch', '-'], `${lines.join('\n')}\n`)
  }

  /** Commands of `nft`; returns what they print. */
  nft(commands: string): Promise<string> {
    return run('ip', ['netns', 'exec', this.name, pathTo('nft'), '-f', '-'], `${commands}\n`)
  }

  async tc(...words: readonly string[]): Promise<void> {
    await run('tc', ['-n', this.name, ...words])
  }

  /** Passes packets on from now on. */
  async forward(): Promise<void> {
    const set = ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'].map((name) => `echo 1 >/proc/sys/net/${name}`)
    await run('ip', ['netns', 'exec', this.name, 'sh', '-ec', set.join('\n')])
  }

  /** Removes it, what still runs in it, and its files. */
  remove(): Promise<void> {
    return remove(this.name)
  }
}

/** Removes what processes have left that died before they could. */
export async function removeLeftovers(): Promise<void> {
  for (const name of await list(NAMESPACES)) {
    if (isLeftover(name)) await removeOnce(name)
  }
  for (const name of await list(FILES)) {
    if (isLeftover(name)) await rm(`${FILES}/${name}`, { recursive: true, force: true })
  }
}

async function remove(name: string): Promise<void> {
  for (const pid of (await run('ip', ['netns', 'pids', name])).split('\n').filter(Boolean)) kill(Number(pid))
  await run('ip', ['netns', 'del', name])
  await rm(`${FILES}/${name}`, { recursive: true, force: true })
}

/** {@link remove}, while another process may be doing the same. */
async function removeOnce(name: string): Promise<void> {
  try {
    await remove(name)
  } catch (error) {
    if (existsSync(`${NAMESPACES}/${name}`)) throw error
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    // It ended by itself meanwhile.
    if (codeOf(error) !== 'ESRCH') throw error
  }
}

function isLeftover(name: string): boolean {
  const pid = OURS.exec(name)?.[1]
  if (pid === undefined) return false
  try {
    process.kill(Number(pid), 0)
    return false
  } catch (error) {
    return codeOf(error) === 'ESRCH'
  }
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code
