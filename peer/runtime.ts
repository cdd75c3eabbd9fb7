/** Puts one peer process together: configuration, engine, and a connection to the signaling server. */
import { nanoid } from 'nanoid'
import WebSocket from 'ws'
import { Sealer } from '../shared/crypto.ts'
import type { Log } from '../shared/log.ts'
import type { PeerNode } from '../shared/node.ts'
import { SignalingClient } from '../shared/signaling-client.ts'
import type { Config } from './config.ts'
import { type EngineChoice, loadEngine } from './engines/index.ts'

/** An admitted connection to the server, for commands that need no links. Rejects with why there is none. */
export async function connectSignaling(config: Config, log: Log, peer: string = nanoid()): Promise<SignalingClient> {
  const [invite, identity] = [await config.invite(), await config.identity()]
  const signaling = new SignalingClient({
    url: invite.url,
    networkKey: invite.networkKey,
    identity,
    peer,
    WebSocket,
    log,
  })
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

export interface PeerOptions {
  readonly engine: EngineChoice
  /** ms; see LIMITS.grace */
  readonly grace: number
}

/** A whole peer. Rejects with `not-enabled`, `engine-missing`, `server-unreachable`, `admission-refused`, … */
export async function startPeer(config: Config, options: PeerOptions, log: Log): Promise<PeerNode> {
  const { networkKey } = await config.invite()
  const [identity, engine, sealer] = await Promise.all([
    config.identity(),
    loadEngine(options.engine, log),
    Sealer.from(networkKey),
  ])
  const peer = nanoid()
  try {
    const signaling = await connectSignaling(config, log, peer)
    return { peer, identity, networkKey, sealer, engine, signaling, grace: options.grace, log }
  } catch (error) {
    await engine.close()
    throw error
  }
}

export async function stopPeer(node: PeerNode): Promise<void> {
  await node.signaling.close()
  await node.engine.close()
}
