/**
 * Repairs of werift's ICE: without them a path waits for timers after it was found, a closed agent may revive, the kernel
 * drops what comes while JavaScript has other work, and a slow path that a job fills is given up.
 */
import type { Socket } from 'node:dgram'
import type { RTCIceTransport } from 'werift'
import { deferred } from '../../shared/deferred.ts'
import { requireMembers } from './werift-members.ts'

interface RequestOptions {
  readonly retransmissions?: number
  readonly responseTimeout?: number
}

/** What sends the checks from one address. */
interface Protocol {
  readonly transport?: { readonly socket?: Socket }
  request: (
    request: object,
    address: object,
    key?: Buffer,
    options?: RequestOptions | number,
    ...rest: unknown[]
  ) => object
}

/** What of werift's agent its types keep private. */
interface Agent {
  readonly state: string
  readonly nominated?: { readonly protocol: Protocol }
  readonly checkList: readonly { readonly state: number }[]
  connect: () => Promise<void>
  addPair: (pair: object) => void
  checkComplete: (pair: object) => void
  schedulingChecks: () => boolean
  queryConsent: () => void
  setState: (state: string) => void
}

/**
 * bytes the kernel keeps for werift while JavaScript does other things: the 1 MiB that werift lets the other side have on
 * its way, which as packets takes twice that. Of Linux's 208 KiB a fast sender lost 2 %, and slowed down at each loss.
 * Where net.core.rmem_max is less the kernel gives that, doubled.
 */
const RECEIVE_BUFFER = 2 * 1024 * 1024

/** ms between two consent checks, at the least (RFC 7675 section 5.1): the next one forgets the one before. */
const CONSENT_INTERVAL = 4000

/** The state of a pair that is being checked. */
const IN_PROGRESS = 2

/** To be called on a transport once, before it gathers or starts. */
export function repairIce({ connection }: RTCIceTransport): void {
  const agent = connection as unknown as Agent
  const replaced = [
    'setState',
    'connect',
    'addPair',
    'checkComplete',
    'schedulingChecks',
    'queryConsent',
    'checkList',
    'state',
  ]
  requireMembers('an ICE agent', agent, replaced)
  stayClosed(agent)
  noticePath(agent)
}

/** werift calls it completed when it has gathered, connected when it was, and then checks for ever on a closed one. */
function stayClosed(agent: Agent): void {
  const { setState } = agent
  agent.setState = (state) => {
    if (agent.state !== 'closed') setState.call(agent, state)
  }
}

/**
 * werift looks every 20 ms for a pair to check, and whether one was chosen only when there is none left: with many
 * candidates a path is used long after it was found, and what the other side sends on it meanwhile is lost.
 */
function noticePath(agent: Agent): void {
  const { connect, addPair, checkComplete, schedulingChecks } = agent
  const found = deferred<void>()
  let looking = false

  agent.checkComplete = (pair) => {
    checkComplete.call(agent, pair)
    if (agent.nominated !== undefined) found.resolve()
  }
  // None after that, so that werift's own loop ends.
  agent.schedulingChecks = () => agent.nominated === undefined && schedulingChecks.call(agent)
  agent.addPair = (pair) => {
    addPair.call(agent, pair)
    queueMicrotask(() => {
      // One at a time: further ones keep werift's pace.
      if (looking && !agent.checkList.some(({ state }) => state === IN_PROGRESS)) agent.schedulingChecks()
    })
  }
  agent.connect = async () => {
    const connected = connect.call(agent)
    looking = true
    try {
      await Promise.race([connected, found.promise])
    } finally {
      looking = false
    }
    if (agent.state === 'closed') return
    if (agent.nominated !== undefined) {
      // A path over TCP, which nearport has none of, has no such socket.
      agent.nominated.protocol.transport?.socket?.setRecvBufferSize(RECEIVE_BUFFER)
      awaitConsent(agent.nominated.protocol)
    }
    // As werift does it itself, up to 20 ms later.
    agent.queryConsent()
    agent.setState('connected')
  }
}

/**
 * werift takes an answer to a consent check for lost after twice the round trip of the empty path, or half a second, and
 * gives the path up after 30 s without one: any job of that length on a path with more than that queued. Such a check is
 * the one request that is not sent again.
 */
function awaitConsent(protocol: Protocol): void {
  const { request } = protocol
  protocol.request = (message, address, key, options, ...rest) => {
    const isConsent = typeof options === 'object' && options.retransmissions === 0
    const waiting = isConsent ? { ...options, responseTimeout: CONSENT_INTERVAL } : options
    return request.call(protocol, message, address, key, waiting, ...rest)
  }
}
