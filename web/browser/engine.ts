/** The page's own WebRTC as an engine, and what it tells of a path. */
import type { CandidateEnd, Engine } from '../../shared/engine.ts'
import type { PathView } from './api.ts'

/** bytes. A bare channel of Chromium is as fast with it as with 1 or 4 MiB (`npm run bench:browser -- --bare-kib 256`). */
const HIGH_WATER = 256 * 1024

export function browserEngine(): Engine {
  return {
    name: 'browser',
    wrtc: { RTCPeerConnection, RTCSessionDescription, RTCIceCandidate },
    copies: true,
    // A page cannot ask for the end of a turn, but for that of a task. Browsers know this function only as the window's own.
    atTurnEnd: (run) => queueMicrotask(run),
    highWater: HIGH_WATER,
    // All a page is told of the networks of its host is whether there is one.
    localReach: () => ({ loopback: !navigator.onLine, linkLocal: false }),
    selectedPair: async (connection) => {
      const path = await pathOf(connection)
      return path && { local: path.local, remote: path.remote }
    },
    // Connections belong to their links, and the page holds nothing else.
    close: async () => undefined,
  }
}

export interface Path extends PathView {
  readonly local: CandidateEnd
  readonly remote: CandidateEnd
}

/** The path of a connection and its counters; null before one is selected and after the connection closed. */
export async function pathOf(connection: RTCPeerConnection): Promise<Path | null> {
  const stats = await connection.getStats()
  const all: Entry[] = []
  stats.forEach((entry: Entry) => {
    all.push(entry)
  })
  const byId = (id: unknown) => all.find((entry) => entry.id === id)
  const transport = all.find(({ type }) => type === 'transport')
  // Firefox knows no transport, and marks the pair.
  const pair =
    byId(transport?.selectedCandidatePairId) ??
    all.find(({ type, nominated, state }) => type === 'candidate-pair' && nominated && state === 'succeeded')
  const [local, remote] = [endOf(byId(pair?.localCandidateId)), endOf(byId(pair?.remoteCandidateId))]
  if (pair === undefined || local === null || remote === null) return null
  const { currentRoundTripTime: seconds, bytesSent = 0, bytesReceived = 0 } = pair
  return { local, remote, roundTripMs: seconds === undefined ? null : seconds * 1000, bytesSent, bytesReceived }
}

/** What is read of the kinds of RTCStats (W3C webrtc-stats). */
interface Entry {
  readonly id: string
  readonly type: string
  readonly selectedCandidatePairId?: string
  readonly nominated?: boolean
  readonly state?: string
  readonly localCandidateId?: string
  readonly remoteCandidateId?: string
  readonly currentRoundTripTime?: number
  readonly bytesSent?: number
  readonly bytesReceived?: number
  readonly address?: string | null
  readonly port?: number
  readonly candidateType?: RTCIceCandidateType
}

function endOf(entry: Entry | undefined): CandidateEnd | null {
  if (entry?.candidateType === undefined) return null
  // Browsers keep addresses to themselves that the page has not been told of.
  return { address: entry.address ?? '', port: entry.port ?? 0, type: entry.candidateType }
}
