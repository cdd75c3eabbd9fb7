/** The checks of one share: its name, a link to who serves it, the path the link took, and its target. */
import { Access } from '../../shared/access.ts'
import type { CandidateEnd, CandidatePair, Engine } from '../../shared/engine.ts'
import { NearportError } from '../../shared/errors.ts'
import { identityFingerprint } from '../../shared/fingerprint.ts'
import { formatHostPort } from '../../shared/hostport.ts'
import { LIMITS } from '../../shared/limits.ts'
import type { ListedShare } from '../../shared/messages.ts'
import type { PeerNode } from '../../shared/node.ts'
import type { MuxStream } from '../../shared/stream.ts'
import { type Finding, failed, type ShownShare, well } from './report.ts'

/** Whether a name is known and online, and whose it is. `self`: the identity of this environment. */
export function checkName(name: string, listed: ListedShare | undefined, self: string): Finding {
  if (listed === undefined) {
    return failed('name', new NearportError('name-unknown', `"${name}" is not reserved, and nobody shares it now`))
  }
  const owner = `${identityFingerprint(listed.owner)} (${listed.owner === self ? 'this environment' : 'another environment'})`
  if (!listed.online) {
    return failed(
      'name',
      new NearportError('name-offline', `"${name}" is reserved by ${owner}, and nobody serves it now`),
    )
  }
  return well('name', `"${name}" is ${listed.reserved ? 'reserved and served' : 'served'} by ${owner}`)
}

/** What was found out about a link. */
export interface Reached {
  readonly engine: string
  readonly path: CandidatePair | null
  readonly target: ShownShare['target']
}

/** Makes a link as access does, and opens one connection to the target, to which it sends nothing. */
export async function checkShare(node: PeerNode, name: string, report: (finding: Finding) => void): Promise<Reached> {
  const made: RTCPeerConnection[] = []
  const engine = node.engine.name
  const access = new Access({ ...node, engine: watched(node.engine, made) })
  try {
    await access.add(name)
    const outcome = settled(await access.open(name))
    const connection = made.at(-1)
    const path = connection === undefined ? null : await node.engine.selectedPair(connection)
    report(well('link', `there is a direct link by the ${engine} engine${path === null ? '' : pathOf(path)}`))
    const reason = await outcome
    report(reason === null ? well('target', ACCEPTS) : failed('target', reason))
    return { engine, path, target: reason?.code ?? 'accepts' }
  } catch (error) {
    report(failed('link', error))
    return { engine, path: null, target: null }
  } finally {
    // Resets the stream at the other side, and with it the connection to the target.
    await access.close(new NearportError('shutting-down', 'doctor is done'))
  }
}

/** How long a target that does not answer may keep the share side, and the word of it, busy. */
const TARGET_DEADLINE = LIMITS.dialDeadline + LIMITS.byeDeadline

const ACCEPTS = 'the target accepts a connection, or a share with --max-connections keeps it in its queue'

/** Why the target cannot be had; null if it can. There is no answer to OPEN: only a refusal is told. */
function settled(stream: MuxStream): Promise<NearportError | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => settle(null), TARGET_DEADLINE)
    const settle = (reason: NearportError | null) => {
      clearTimeout(timer)
      resolve(reason)
    }
    stream.onreset = settle
    stream.ondata = () => settle(null)
    stream.onend = () => settle(null)
  })
}

/** An engine that shows the connections it makes. */
function watched(engine: Engine, made: RTCPeerConnection[]): Engine {
  const RTCPeerConnection = class extends engine.wrtc.RTCPeerConnection {
    constructor(config?: RTCConfiguration) {
      super(config)
      made.push(this)
    }
  }
  return {
    ...engine,
    wrtc: { ...engine.wrtc, RTCPeerConnection },
  }
}

const pathOf = ({ local, remote }: CandidatePair): string => `, from ${endOf(local)} to ${endOf(remote)}`

/** `host`: its own address; `srflx`, `prflx`: what its NAT made of it (RFC 8445). */
const endOf = ({ address, port, type }: CandidateEnd): string => `${formatHostPort({ host: address, port })} (${type})`
