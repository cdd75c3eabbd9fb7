/** How a peer starts: nothing waits for what it does not need. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { type WebSocket as ServerSocket, WebSocket, WebSocketServer } from 'ws'
import { Config } from '../peer/config.ts'
import { deferred } from '../shared/deferred.ts'
import type { Engine } from '../shared/engine.ts'
import { NearportError } from '../shared/errors.ts'
import { formatInvite, socketUrl } from '../shared/invite.ts'
import { closeTestSignaling, startTestSignaling, type TestSignaling, temporaryFolder } from './support/signaling.ts'
import { type Network, startNetwork } from './support/tunnel.ts'

const silent = () => undefined
const log = { debug: silent, info: silent, warn: silent, error: silent }

describe('a peer', () => {
  const OPTIONS = { engine: 'auto', grace: 0 } as const
  const close = jest.fn(async () => undefined)
  const engine = { name: 'werift', close } as unknown as Engine
  let loadEngine: () => Promise<Engine>
  let startPeer: typeof import('../peer/runtime.ts').startPeer
  let stopPeer: typeof import('../peer/runtime.ts').stopPeer

  beforeAll(async () => {
    jest.unstable_mockModule('../peer/engines/index.ts', () => ({ loadEngine: () => loadEngine() }))
    const runtime = await import('../peer/runtime.ts')
    startPeer = runtime.startPeer
    stopPeer = runtime.stopPeer
  })

  beforeEach(() => {
    close.mockClear()
  })

  afterEach(closeTestSignaling)

  const configFor = async ({ url, networkKey }: Pick<TestSignaling, 'url' | 'networkKey'>) =>
    new Config(await temporaryFolder(), { NEARPORT_LINK: formatInvite({ url, networkKey }) })

  test('loads its engine while the server admits it', async () => {
    const admitted = deferred<void>()
    const info = (_: object, message: string) => message === 'admitted a peer' && admitted.resolve()
    const signaling = await startTestSignaling({ log: { ...log, info } })
    loadEngine = () => admitted.promise.then(() => engine)
    const peer = await startPeer(await configFor(signaling), OPTIONS, log)
    expect(peer.engine).toBe(engine)
    expect(peer.signaling.connected).toBe(true)
    await stopPeer(peer)
    expect(close).toHaveBeenCalledTimes(1)
  })

  test('leaves the server when its engine is missing', async () => {
    const left = deferred<void>()
    const debug = (_: object, message: string) => message === 'a peer has left' && left.resolve()
    const signaling = await startTestSignaling({ log: { ...log, debug } })
    const missing = new NearportError('engine-missing', 'there is none')
    loadEngine = () => Promise.reject(missing)
    await expect(startPeer(await configFor(signaling), OPTIONS, log)).rejects.toBe(missing)
    await left.promise
  })

  test('closes its engine when the server refuses it', async () => {
    const signaling = await startTestSignaling()
    const stranger = { url: signaling.url, networkKey: new Uint8Array(32) }
    loadEngine = async () => engine
    await expect(startPeer(await configFor(stranger), OPTIONS, log)).rejects.toMatchObject({
      code: 'admission-refused',
    })
    expect(close).toHaveBeenCalledTimes(1)
  })
})

describe('a share process', () => {
  const TARGETS = { one: '127.0.0.1:9', two: '127.0.0.1:9', three: '127.0.0.1:9' }
  let network: Network
  let proxy: ClaimProxy

  beforeAll(async () => {
    network = await startNetwork()
    proxy = await ClaimProxy.before(network.url, Object.keys(TARGETS).length)
  })

  afterAll(async () => {
    await network.stop()
    await proxy.close()
  })

  test('claims all its names at once, and prints them in order', async () => {
    const share = await network.share(TARGETS, { env: { NEARPORT_LINK: `${proxy.url}#${network.key}` } })
    expect(share.child.stdout).toEqual(Object.entries(TARGETS).map(([name, target]) => `sharing ${name}: ${target}`))
  })
})

/** Between a peer and its server. It keeps what the server answers until the peer has sent so many claims. */
class ClaimProxy {
  readonly #server: WebSocketServer
  readonly #upstream: string
  readonly #claims: number
  readonly #sockets = new Set<WebSocket>()

  private constructor(server: WebSocketServer, upstream: string, claims: number) {
    this.#server = server
    this.#upstream = upstream
    this.#claims = claims
    server.on('connection', (near) => this.#join(near))
  }

  static async before(url: string, claims: number): Promise<ClaimProxy> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    await new Promise((resolve) => server.once('listening', resolve))
    return new ClaimProxy(server, url, claims)
  }

  get url(): string {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}/` : ''
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.terminate()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #join(near: ServerSocket): void {
    const far = new WebSocket(socketUrl(this.#upstream))
    for (const socket of [near, far]) this.#sockets.add(socket)
    const opened = new Promise((resolve) => far.once('open', resolve))
    const kept: string[] = []
    let claims = 0
    near.on('message', (data) => {
      const text = data.toString()
      opened.then(() => far.send(text))
      if (JSON.parse(text).type === 'claim' && ++claims === this.#claims) for (const answer of kept) near.send(answer)
    })
    far.on('message', (data) => {
      const text = data.toString()
      if (JSON.parse(text).type === 'ok' && claims < this.#claims) kept.push(text)
      else near.send(text)
    })
  }
}
