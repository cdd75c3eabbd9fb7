/** A network of its own for the soak, where links can be cut: a network namespace with nothing but loopback in it. */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)
const INSIDE = 'NEARPORT_SOAK_NAMESPACE'

/** Why links cannot be cut here, or null. */
export function whyNoNamespace(): string | null {
  if (process.platform !== 'linux') return 'this is not Linux'
  if (process.getuid?.() !== 0) return 'this is not root'
  const script = 'ip link set lo up && nft list tables'
  const { status, stderr, error } = spawnSync('unshare', ['--net', 'sh', '-c', script], { encoding: 'utf8' })
  if (status === 0) return null
  return `no network namespace: ${error?.message ?? stderr.trim()}`
}

export const isInside = (): boolean => process.env[INSIDE] !== undefined

/** Runs this very program again in a new namespace; resolves with its exit status. */
export function runInside(): Promise<number> {
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const child = spawn('unshare', ['--net', ...again], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: 'yes' },
  })
  // Only what is sent to this process alone: Ctrl-C reaches both.
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  process.on('SIGINT', () => undefined)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? 1))
  })
}

/** Drops UDP on its way in, so that a sender notices nothing. */
export class Cutter {
  static async start(): Promise<Cutter> {
    await run('ip', ['link', 'set', 'lo', 'up'])
    await run('nft', ['add table inet soak'])
    await run('nft', ['add chain inet soak in { type filter hook input priority 0; }'])
    await run('nft', ['add set inet soak ports { type inet_service; }'])
    await run('nft', ['add rule inet soak in udp dport @ports drop'])
    await run('nft', ['add rule inet soak in udp sport @ports drop'])
    return new Cutter()
  }

  /** Every link goes, and no new one comes up. Returns how to mend it. */
  async cutAll(): Promise<() => Promise<void>> {
    await run('nft', ['add chain inet soak everything { type filter hook input priority 1; }'])
    await run('nft', ['add rule inet soak everything meta l4proto udp drop'])
    return async () => {
      await run('nft', ['flush chain inet soak everything'])
      await run('nft', ['delete chain inet soak everything'])
    }
  }

  /** The links of this process go, as when a router forgets them; new ones take other ports. */
  async cutPorts(ports: readonly number[]): Promise<() => Promise<void>> {
    if (ports.length === 0) return async () => undefined
    const set = `inet soak ports { ${ports.join(', ')} }`
    await run('nft', [`add element ${set}`])
    return async () => {
      await run('nft', [`delete element ${set}`])
    }
  }
}

/** The UDP ports a process has open. */
export async function udpPorts(pid: number): Promise<number[]> {
  const folder = `/proc/${pid}/fd`
  const inodes = new Set<string>()
  for (const fd of await readdir(folder)) {
    // One may be closed while we look.
    const target = await readlink(`${folder}/${fd}`).catch(() => '')
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
    if (inode !== undefined) inodes.add(inode)
  }
  const ports = new Set<number>()
  for (const table of ['udp', 'udp6']) {
    const rows = (await readFile(`/proc/${pid}/net/${table}`, 'utf8')).trim().split('\n').slice(1)
    for (const row of rows) {
      const cells = row.trim().split(/\s+/)
      const port = Number.parseInt(cells[1]?.split(':')[1] ?? '', 16)
      if (inodes.has(cells[9] ?? '') && port > 0) ports.add(port)
    }
  }
  return [...ports]
}
