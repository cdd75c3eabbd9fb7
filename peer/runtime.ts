/** Puts one peer process together: configuration, engine, and a connection to the signaling server. */
import { nanoid } from 'nanoid'
import type { Identity } from '../shared/crypto.ts'
import { asNearportError } from '../shared/errors.ts'
import type { HostPort } from '../shared/hostport.ts'
import type { Invite } from '../shared/invite.ts'
import { KnownOwners } from '../shared/known-owners.ts'
import type { Log } from '../shared/log.ts'
import type { PeerNode } from '../shared/node.ts'
import { SignalingClient } from '../shared/signaling-client.ts'
import type { Config } from './config.ts'
import { stunServers } from './engines/ice.ts'
import { type EngineChoice, loadEngine } from './engines/index.ts'
import { NatWatch } from './nat.ts'
import { OwnerFiles } from './owner-files.ts'
import { Predecessors } from './predecessors.ts'
import { SignalingSocket } from './signaling-socket.ts'

/** An admitted connection to the server, for commands that need no links. Rejects with why there is none. */
export async function connectSignaling(config: Config, log: Log): Promise<SignalingClient> {
  return connect(await config.invite(), await config.identity(), nanoid(), log)
}

async function connect(invite: Invite, identity: Identity, peer: string, log: Log): Promise<SignalingClient> {
  const { url, networkKey } = invite
  const signaling = new SignalingClient({ url, networkKey, identity, peer, WebSocket: SignalingSocket, log })
  try {
    await signaling.start()
  } catch (error) {
    await signaling.close()
    throw error
  }
  return signaling
}

/** Runs `use` with an admitted connection, and closes it afterwards. */
export async function withSignaling<T>(
  config: Config,
  log: Log,
  use: (signaling: SignalingClient) => Promise<T>,
): Promise<T> {
  const signaling = await connectSignaling(config, log)
  try {
    return await use(signaling)
  } finally {
    await signaling.close()
  }
}

/** A peer that runs, and what it does beside its links. */
export interface RunningPeer extends PeerNode {
  readonly natWatch: NatWatch
  /** To be called when it has ended in order. */
  readonly leave: () => Promise<void>
}

export interface PeerOptions {
  readonly engine: EngineChoice
  /** ms; see LIMITS.grace */
  readonly grace: number
}

/** A whole peer. Rejects with `not-enabled`, `engine-missing`, `server-unreachable`, `admission-refused`, … */
export async function startPeer(config: Config, options: PeerOptions, log: Log): Promise<RunningPeer> {
  const invite = await config.invite()
  const { networkKey } = invite
  const identity = await config.identity()
  const peer = nanoid()
  // Together: the one takes the processor, the other a few round trips.
  const [loaded, connected] = await Promise.allSettled([
    loadEngine(options.engine, log),
    connect(invite, identity, peer, log),
  ])
  if (loaded.status === 'rejected') {
    if (connected.status === 'fulfilled') await connected.value.close()
    throw loaded.reason
  }
  const engine = loaded.value
  if (connected.status === 'rejected') {
    await engine.close()
    throw connected.reason
  }
  const signaling = connected.value
  const running = new Predecessors(config.folder)
  const predecessors = await enter(running, peer, log)
  const natWatch = new NatWatch(log)
  natWatch.look(stunServer(signaling))
  // It was lost perhaps because the network is another now.
  signaling.onreconnect.add(() => natWatch.look(stunServer(signaling)))
  const { grace } = options
  const owners = new KnownOwners(await OwnerFiles.of(config.folder, networkKey), log)
  const node = { peer, identity, networkKey, engine, signaling, grace, predecessors, owners, log }
  return { ...node, nat: natWatch.report, natWatch, leave: () => running.leave(peer) }
}

/** Without it a killed process is only missed after the grace time, which is no reason not to run. */
async function enter(running: Predecessors, peer: string, log: Log): Promise<string[]> {
  try {
    return await running.enter(peer)
  } catch (error) {
    log.warn({ reason: asNearportError(error).message }, 'killed processes of this environment are not recognised')
    return []
  }
}

/** Where the server answers STUN; null if it does not. */
export function stunServer(signaling: SignalingClient): HostPort | null {
  const url = signaling.stunUrl()
  return (url === null ? undefined : stunServers({ iceServers: [{ urls: url }] })[0]) ?? null
}

export async function stopPeer(node: RunningPeer): Promise<void> {
  node.natWatch.stop()
  await node.signaling.close()
  await node.engine.close()
  await node.leave()
}
