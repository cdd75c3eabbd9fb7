/** Makes a page a peer of a network. */
import { nanoid } from 'nanoid'
import { NearportError } from '../../shared/errors.ts'
import { type Invite, parseInvite } from '../../shared/invite.ts'
import { KnownOwners } from '../../shared/known-owners.ts'
import { LIMITS } from '../../shared/limits.ts'
import type { Log } from '../../shared/log.ts'
import { SignalingClient } from '../../shared/signaling-client.ts'
import { abortable } from './abortable.ts'
import type { ConnectOptions, Network } from './api.ts'
import { Database } from './database.ts'
import { browserEngine } from './engine.ts'
import { loadIdentity } from './identity.ts'
import { PageNetwork } from './network.ts'
import { PageOwners } from './owners.ts'
import { enterPage } from './pages.ts'

/**
 * Rejects with a NearportError: `link-invalid`, `insecure-context`, `browser-unsupported`, `config-failed` (the browser
 * keeps no data for this page), `server-unreachable`, `admission-refused`, `version-mismatch`, ….
 */
export async function connect({ invite, signal }: ConnectOptions = {}): Promise<Network> {
  signal?.throwIfAborted()
  const parsed = parseInvite(String(invite ?? ownLink()))
  checkBrowser()
  return abortable(join(parsed), signal, (network) => void network.close())
}

async function join({ url, networkKey }: Invite): Promise<Network> {
  const database = await Database.open()
  const peer = nanoid()
  const [identity, kept] = await Promise.all([loadIdentity(database), PageOwners.of(database, networkKey)])
  const owners = new KnownOwners(kept, log)
  const signaling = new SignalingClient({ url, networkKey, identity, peer, WebSocket, log })
  try {
    await signaling.start()
  } catch (error) {
    await signaling.close()
    database.close()
    throw error
  }
  const page = await enterPage(database, peer)
  const { killed: predecessors } = page
  const engine = browserEngine()
  const node = { peer, identity, networkKey, engine, signaling, grace: LIMITS.grace, predecessors, owners, log }
  return new PageNetwork(node, kept, async () => {
    await page.leave()
    database.close()
  })
}

/** The folder of the page, and the key after # in its address. */
function ownLink(): URL {
  const link = new URL('.', location.href)
  link.hash = location.hash
  return link
}

function checkBrowser(): void {
  if (!isSecureContext) {
    throw new NearportError('insecure-context', `${location.origin} is no secure context: it gets no WebCrypto`)
  }
  if (typeof RTCPeerConnection === 'undefined') {
    throw new NearportError('browser-unsupported', 'this browser has no WebRTC, or it is switched off')
  }
}

const log: Log = {
  debug: (fields, message) => console.debug(`nearport: ${message}`, fields),
  // What goes well is for those who look for it.
  info: (fields, message) => console.debug(`nearport: ${message}`, fields),
  warn: (fields, message) => console.warn(`nearport: ${message}`, fields),
  error: (fields, message) => console.error(`nearport: ${message}`, fields),
}
