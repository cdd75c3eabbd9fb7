/** Finds what the NAT before this host does with UDP (RFC 5780), by the STUN of the signaling server. */
import { lookup } from 'node:dns/promises'
import { asNearportError } from '../shared/errors.ts'
import type { HostPort } from '../shared/hostport.ts'
import type { Log } from '../shared/log.ts'
import {
  behaviourFrom,
  type Family,
  formatNat,
  type NatBehaviour,
  type NatReport,
  type Observations,
  UNKNOWN,
} from '../shared/nat.ts'
import { canonical, GLOBAL, hasAddress, ownAddresses } from './addresses.ts'
import { isNoFamily, StunSocket } from './stun-client.ts'
import { CHANGE, type Change } from './stun-message.ts'

/** One address family, looked at. */
export interface NatFinding {
  readonly behaviour: NatBehaviour
  /** Where the server sees this host; null if it did not answer, or has no address of this family. */
  readonly mapped: HostPort | null
  /** What was asked; null if the server has no address of this family. */
  readonly server: HostPort | null
  readonly serverHas: Observations['server']
  /** The second port or address of the server did not answer: a firewall before it, most likely. */
  readonly secondSilent: boolean
}

/** null: this host has no address of the family. */
export type NatFindings = { readonly [F in Family]: NatFinding | null }

export const reportOf = ({ ipv4, ipv6 }: NatFindings): NatReport => ({
  ipv4: ipv4?.behaviour ?? null,
  ipv6: ipv6?.behaviour ?? null,
})

/** Takes twice LIMITS.stunDeadline at most. Rejects when the name of the server cannot be resolved. */
export async function findNat(server: HostPort, stop?: AbortSignal): Promise<NatFindings> {
  const addresses = await lookup(server.host, { all: true })
  const find = async (family: Family): Promise<NatFinding | null> => {
    const found = addresses.find((address) => address.family === (family === 'ipv4' ? 4 : 6))
    if (found === undefined) return hasAddress(family, GLOBAL[family]) ? UNEXAMINED : null
    try {
      return await findIn(family, { host: canonical(found.address), port: server.port }, stop)
    } catch (error) {
      if (isNoFamily(error)) return null
      throw error
    }
  }
  const [ipv4, ipv6] = await Promise.all([find('ipv4'), find('ipv6')])
  return { ipv4, ipv6 }
}

/** The server cannot be asked in this family, but the other side might be reached in it. */
const UNEXAMINED: NatFinding = {
  behaviour: UNKNOWN,
  mapped: null,
  server: null,
  serverHas: 'one-port',
  secondSilent: false,
}

async function findIn(family: Family, server: HostPort, stop?: AbortSignal): Promise<NatFinding> {
  const sockets: StunSocket[] = []
  const close = () => {
    for (const socket of sockets) socket.close()
  }
  stop?.addEventListener('abort', close, { once: true })
  try {
    const asker = await StunSocket.open(family)
    sockets.push(asker)
    const listener = await StunSocket.open(family)
    sockets.push(listener)
    if (stop?.aborted) close()
    const seen = await observe(asker, listener, server)
    const { mapped, server: serverHas, atPort, atBoth } = seen
    const secondSilent =
      (serverHas !== 'one-port' && atPort === null) || (serverHas === 'two-addresses' && atBoth === null)
    return { behaviour: behaviourFrom(seen), mapped, server, serverHas, secondSilent }
  } finally {
    stop?.removeEventListener('abort', close)
    close()
  }
}

/** `listener` sends to `server` only: what it hears from elsewhere, the NAT lets in unasked. */
async function observe(asker: StunSocket, listener: StunSocket, server: HostPort): Promise<Observations> {
  const first = await asker.ask(server)
  const other = first?.other ?? null
  const twoAddresses = other !== null && !isUnspecified(other.host) && other.host !== server.host
  const at = async (host: string | null, port: number | null) =>
    host === null || port === null ? null : ((await asker.ask({ host, port }))?.mapped ?? null)
  const hears = async (change: Change, isElsewhere: (from: HostPort) => boolean) => {
    const heard = await listener.ask(server, change)
    // A server that does not know the request answers from where it was asked.
    return heard !== null && isElsewhere(heard.from)
  }
  const secondAddress = twoAddresses ? other.host : null
  const secondPort = other?.port ?? null
  const [atPort, atAddress, atBoth, heardPort, heardBoth] = await Promise.all([
    at(server.host, secondPort),
    at(secondAddress, server.port),
    at(secondAddress, secondPort),
    other !== null && hears(CHANGE.port, ({ port }) => port !== server.port),
    twoAddresses && hears(CHANGE.both, ({ host }) => host !== server.host),
  ])
  const mapped = first?.mapped ?? null
  const isOwn = mapped !== null && mapped.port === asker.port && ownAddresses().includes(mapped.host)
  const has = other === null ? 'one-port' : twoAddresses ? 'two-addresses' : 'two-ports'
  return { mapped, isOwn, server: has, atPort, atAddress, atBoth, heardPort, heardBoth }
}

const isUnspecified = (host: string): boolean => host === '0.0.0.0' || host === '::'

/** Keeps a report at hand for links, in the background: what it costs when it fails is a vaguer sentence. */
export class NatWatch {
  readonly #log: Log
  readonly #stop = new AbortController()
  #current: Promise<NatReport | null> = Promise.resolve(null)

  constructor(log: Log) {
    this.#log = log
  }

  /** The last report, or the one that is being made; null if there is none. Never rejects. */
  readonly report = (): Promise<NatReport | null> => this.#current

  /** Looks at the network as it is now. */
  look(server: HostPort | null): void {
    this.#current = server === null || this.#stop.signal.aborted ? Promise.resolve(null) : this.#look(server)
  }

  stop(): void {
    this.#stop.abort()
  }

  async #look(server: HostPort): Promise<NatReport | null> {
    try {
      const report = reportOf(await findNat(server, this.#stop.signal))
      this.#log.debug({ nat: formatNat(report) }, 'NAT examined')
      return report
    } catch (error) {
      this.#log.debug({ reason: asNearportError(error).message }, 'NAT not examined')
      return null
    }
  }
}
