/** Two links in this process, and whoever carries their sealed signals: the tests play the signaling server. */
import { nanoid } from 'nanoid'
import { loadEngine } from '../../peer/engines/index.ts'
import { type Bytes, Identity, randomBytes, Sealer } from '../../shared/crypto.ts'
import type { Engine } from '../../shared/engine.ts'
import { Link, type LinkOptions } from '../../shared/link.ts'
import type { Log } from '../../shared/log.ts'
import { type Acceptor, Tunnel } from '../../shared/tunnel.ts'

const quiet = () => undefined
export const silentLog: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet }

/** The engines that load here, by name; where CI is set, both must. */
export async function availableEngines(): Promise<Engine[]> {
  const werift = await loadEngine('werift', silentLog)
  try {
    return [werift, await loadEngine('native', silentLog)]
  } catch (error) {
    if (process.env.CI) throw error
    console.warn('the native engine is not tested: install the optional package node-datachannel')
    return [werift]
  }
}

export interface Network {
  readonly key: Bytes
}

export const newNetwork = (): Network => ({ key: randomBytes(32) })

export interface Member {
  readonly peer: string
  readonly identity: Identity
}

export async function newMember(): Promise<Member> {
  return { peer: nanoid(), identity: (await Identity.generate()).identity }
}

export type Carry = (box: string, deliver: (box: string) => void) => void

export interface Scene {
  readonly engine: Engine
  readonly shareEngine?: Engine
  readonly network: Network
  readonly access: Member
  readonly share: Member
  readonly session?: string
  readonly accept?: Acceptor
  /** What the server does with what the access side, and the share side, send. */
  readonly up?: Carry
  readonly down?: Carry
  /** What the links carry; new ones without. */
  readonly tunnels?: Tunnels
  readonly change?: { readonly access?: Partial<LinkOptions>; readonly share?: Partial<LinkOptions> }
}

export interface Tunnels {
  readonly access: Tunnel
  readonly share: Tunnel
}

export const newTunnels = (accept: Acceptor = () => () => undefined, grace = 0): Tunnels => ({
  access: new Tunnel(null, grace),
  share: new Tunnel(accept, grace),
})

const honest: Carry = (box, deliver) => deliver(box)

export function linkPair(scene: Scene): { access: Link; share: Link; tunnels: Tunnels } {
  const { engine, network, access, share, session = nanoid(), up = honest, down = honest, change } = scene
  const sealer = Sealer.forSession(network.key, session)
  const common = { session, networkKey: network.key, sealer, stunUrl: null, log: silentLog }
  const known = ({ peer, identity }: Member) => ({ peer, identity: identity.publicKey })
  const tunnels = scene.tunnels ?? newTunnels(scene.accept)
  const links: { access?: Link; share?: Link } = {}
  links.share = new Link({
    ...common,
    role: 'share',
    engine: scene.shareEngine ?? engine,
    self: share,
    remote: known(access),
    asks: null,
    tunnel: () => tunnels.share,
    sendSignal: (box) => down(box, (carried) => links.access?.receiveSignal(carried)),
    ...change?.share,
  })
  links.access = new Link({
    ...common,
    role: 'access',
    engine,
    self: access,
    remote: known(share),
    asks: { id: tunnels.access.id, slot: 0, ended: [] },
    tunnel: () => tunnels.access,
    sendSignal: (box) => up(box, (carried) => links.share?.receiveSignal(carried)),
    ...change?.access,
  })
  return { access: links.access, share: links.share, tunnels }
}
