/**
 * Every limit, with its unit, the reason for its value, and when to look at it again. `docs/limits.md` is the same
 * table for users; a test holds the two together.
 */

import { PLACE_LIMITS } from './place-limits.ts'

const KIB = 1024
const MIB = 1024 * KIB
const SECOND = 1000

export const LIMITS = {
  // ── signaling ──────────────────────────────────────────────────────────────────────────────────────────────────
  /** bytes. An SDP of one data section is under 2 KiB, sealed and in base64 under 4; revisit if media is ever added. */
  signalingMessageBytes: 32 * KIB,
  /** characters of one sealed signal: 1 KiB less, so that what the server adds to it never makes it too long. */
  signalBoxChars: 31 * KIB,
  /** entries of a list, and of what a peer follows, kept from a server: twice the names and peers that one holds. */
  listedEntries: 250_000,
  /** parts of one message, and of one frame as TCP delivers it: each holds memory of its own, and 32 KiB are 60 segments of the smallest. */
  signalingFragments: 128,
  /** messages a second a connection may send for long. 99 shares started at once send about 300, then a few a minute. */
  signalingMessagesPerSecond: 100,
  /** messages a connection may send at once above that rate: a start of 99 shares with room to spare. */
  signalingBurst: 1000,
  /** messages a second that one identity may cause for long, with all its connections: those sent to others because of it count. */
  identityMessagesPerSecond: 2000,
  /** messages an identity may cause at once above that rate: a start of 99 shares that 300 tills watch. */
  identityBurst: 30_000,
  /** messages a second that all who connect from one address may cause for long: a tenth of a core. */
  sourceMessagesPerSecond: 5000,
  /** messages that all of one address may cause at once above that rate: 300 tills that come back with 100 names each. */
  sourceBurst: 50_000,
  /** messages a stranger may send, and a member may always send where its identity or address has sent too many. */
  messagesAlways: 20,
  /** such messages a second for long: a peer pings every 4 s. */
  messagesAlwaysPerSecond: 1,
  /** WebSocket connections a server holds. 20 KiB each is 200 MiB; revisit with measured memory. */
  signalingConnections: 10_000,
  /** connections of one identity: a process for each of a hundred printers, twice. */
  connectionsPerIdentity: 200,
  /** connections not yet admitted: strangers must not use up the places of members. */
  signalingPending: 1000,
  /** such connections from one address (of IPv6, one /64): forty tills with two programs each come back together. */
  pendingPerSource: 100,
  /** connections a second that one address may open for long: each costs a TLS handshake, about a millisecond. */
  connectionsPerSecond: 20,
  /** connections one address may open at once above that rate: forty tills with five programs each. */
  connectionsBurst: 200,
  /** files and sockets that connections leave to the store, the log and STUN. */
  openFilesKept: 64,
  /** ms between lines in the log that tell how many connections were dropped, and how many lines left out. */
  dropsTold: 60 * SECOND,
  /** lines in the log with the same message within dropsTold: 40 KB a minute at most for each. */
  logLines: 200,
  /** names reserved by one identity: a chain with a hundred printers in a shop has room. */
  reservationsPerIdentity: 1000,
  /** names reserved on one server: about 100 bytes each in memory. */
  reservationsPerServer: 100_000,
  /** names that one address may reserve at once: twice what one identity may have. */
  reservationsBurst: 2000,
  /** names an hour that one address may reserve above that: they are for good, so that to fill a server takes weeks. */
  reservationsPerHour: 360,
  /** names one connection may claim, and may watch. */
  namesPerConnection: 1000,
  /** ms an ephemeral name is kept for who served it: to notice the loss, to try again, and to be admitted. */
  nameHold: 45 * SECOND,
  /** ephemeral names kept so, over a restart too: about 1 MiB on disk. */
  heldNames: 10_000,
  /** ms that changes of these are gathered in before they are written: what comes in that time before a crash is lost. */
  holdsWrite: SECOND,
  /** names that are served without being reserved, on one server. */
  ephemeralNames: 10_000,
  /** of these, names of one identity: as many as it may reserve. */
  ephemeralPerIdentity: 1000,
  /** names that are watched on one server, each as often as it is: about 150 bytes each in memory. */
  watches: 400_000,
  /** of these, by one identity: a process for each of a hundred printers, with all hundred names. */
  watchesPerIdentity: 10_000,
  /** connections that follow all names and peers: each costs a message whenever one of them changes. */
  followers: 256,
  /** of these, connections of one identity: the tabs of a browser. */
  followersPerIdentity: 16,
  /** ms that changes are gathered in before those who follow are told: a start of 99 shares is a few messages. */
  followInterval: 200,
  /** sessions (negotiations) on one server: about 400 bytes each in memory. */
  sessions: 50_000,
  /** of these, begun by one identity: a process for each of a hundred printers, with some tries each. */
  sessionsPerIdentity: 5000,
  /** sessions one connection may begin, and others may begin with it: 50 tills that come back at once, many times over. */
  sessionsPerConnection: 1000,
  /** of the latter, begun by one identity: a till that tries for a minute, from several processes. */
  sessionsWithOne: 250,
  /** ms. A session (one negotiation) that carried no message for this long is forgotten. */
  sessionIdle: 60 * SECOND,
  /** ms a stranger has for the TLS handshake, for a request and its headers, and for admission, each. */
  admissionDeadline: 10 * SECOND,
  /** characters of a hello to the server, which keeps it until admission: ten times one of this version; strangers send them. */
  helloChars: 4 * KIB,
  /** versions of the protocol that can be named: two bytes, as in TLS. */
  versionMost: 65_535,
  /** capabilities in one hello, of 32 characters at most: several times what a decade of additions needs. */
  capabilities: 64,
  /** ms between a peer's pings to the server. */
  signalingPing: 4 * SECOND,
  /** ms of silence after which server and peer each take the other for gone: what `overview` shows is true within 15 s. */
  signalingSilence: 14 * SECOND,
  /** bytes queued to a peer that does not read; past this it is cut off, so that it cannot fill the server's memory. */
  signalingBacklogBytes: MIB,
  /** bytes queued to a peer above which it counts as one that does not keep up: a list of 50 names, twice. */
  signalingBacklogSlow: 32 * KIB,
  /** bytes queued to all peers that do not keep up: each may have an equal part of it, and signalingBacklogBytes at most. */
  signalingBacklogTotal: 64 * MIB,
  /** ms a request (reserve, claim, …) waits for its answer. */
  requestDeadline: 10 * SECOND,
  /** ms. Reconnects wait between half and all of min(reconnectFirst × 2^n, reconnectMost). */
  reconnectFirst: 500,
  /** ms. See reconnectFirst; a server that comes back after hours is found within this. */
  reconnectMost: 15 * SECOND,
  /** ms. As reconnectMost, while connections wait for the link. */
  reconnectHeld: 3 * SECOND,
  /** bytes of a health before it is sealed: the longest has 100; all have as many, so that the length tells nothing. */
  healthBytes: 128,
  /** ms between sealed healths of a name that has not changed: their age then tells whether they are of now. */
  healthRefresh: 60 * SECOND,
  /** ms from the sealing of a health after which it says nothing: two refreshes lost, and clocks that differ a minute. */
  healthStale: 180 * SECOND,
  /** ms a server waits, when stopped, for its connections to close. */
  stopDeadline: 2 * SECOND,

  // ── link ───────────────────────────────────────────────────────────────────────────────────────────────────────
  /** ms from the offer to a proven link: the user is told within 15 s that two NATs cannot be crossed. */
  linkDeadline: 15 * SECOND,
  /** ms. The first try for a link that connections wait for; each further one has so much more, up to linkDeadline. */
  linkDeadlineHeld: 5 * SECOND,
  /** ms from the open control channel to both proofs; nothing else is accepted before. */
  proofDeadline: 5 * SECOND,
  /** ms between looks at how long a link has been silent. */
  linkCheck: SECOND,
  /** ms between pings: each side sends them, as the other's may be queued behind a job on a slow path. */
  linkPing: 3 * SECOND,
  /** ms of silence after which a link is dead: three pings, or one message of a job at 64 kbit/s. */
  linkSilence: 9 * SECOND,
  /** ms a link that is in doubt has to answer a ping: a long round trip, twice. */
  probeDeadline: 2 * SECOND,
  /** ms. See --grace: a router restarts, or a laptop wakes up, within this. */
  grace: 60 * SECOND,
  /** killed processes of an environment that a new one tells of: one that is restarted every 2 s for a minute. */
  predecessors: 32,
  /** ms. A day; what waits holds memory and the places of a printer. */
  graceMost: 86_400 * SECOND,
  /** ms the side that ends a link waits for the other to hear of it: a round trip to anywhere. */
  byeDeadline: SECOND,
  /** ms a web page that goes away in the middle of a job stays for its last word to leave, behind what was sent before it. */
  pageLeaving: 300,
  /** ms between looks at whether an owner that was refused has been accepted: who ran `nearport trust` waits for it. */
  ownerCheck: 2 * SECOND,
  /** connections between two processes, see --connections: each has its own congestion window, and about 200 KiB. */
  connectionsMost: 8,
  /** share channels of two peers, over their life, as no number is used twice: native takes ids to 1023, a shop needs 99. */
  sharesPerTunnel: 1023,
  /** bytes queued on the control channel above which no ping is answered: a thousand answers nobody reads. */
  controlBacklogBytes: 64 * KIB,
  /** bytes of one control message. */
  controlMessageBytes: 4 * KIB,
  /** ms between looks at what has changed for those who follow the status of a share peer; none while nobody does. */
  statusInterval: SECOND,
  /** bytes queued on the control channel above which no status is added: pongs wait behind it. */
  statusBacklogBytes: 16 * KIB,
  /** characters of one session description: what engines make is a tenth of it. */
  sdpChars: 16 * KIB,
  /** candidates of the other side that are tried in one negotiation, the first ones: a host with many interfaces has about 20. */
  candidatesPerLink: 32,
  /** datagrams kept that come on a path before this side has seen that there is one: a greeting is one, or two. */
  earlyDatagrams: 4,
  /** bytes of a STUN message: those of ICE have some hundred, and none may need fragments (RFC 8489 section 6.1). */
  stunMessageBytes: 1280,
  /** bytes of data in one SCTP chunk: engines make chunks that fit into a datagram of 1,500. */
  sctpChunkBytes: 1500,
  /** bytes of one DTLS handshake message: a certificate has 400, the greeting of a browser that knows DTLS 1.3 some 2,000. */
  dtlsMessageBytes: 8 * KIB,
  /** DTLS handshake messages kept before it is their turn: the longest flight has five. */
  dtlsMessagesAhead: 5,
  /** encrypted records, and data, kept because they overtook the end of the handshake: one or two do. */
  dtlsEarlyRecords: 4,
  /** records: one this far behind the newest is taken for a replay. RFC 6347 asks for 32; a fast path reorders more. */
  dtlsReplayWindow: 1024,
  /** ms until a DTLS flight is sent again, doubled each time. RFC 6347 says 1 s, and WebRTC endpoints take less. */
  dtlsRepeatFirst: 400,
  /** times a DTLS flight is sent again: for 25 s in all, and no link waits that long. */
  dtlsRepeats: 5,
  /** parts of messages kept that cannot be delivered yet, as one before them is missing: as many as the window of 1 MiB has. */
  reassemblyChunks: 1024,
  /** offers remembered so that a replayed one is refused without answering it. */
  rememberedSessions: 10_000,

  /** ms until a STUN request is sent again, doubled each time: half of RFC 8489's, as nobody waits for the answer. */
  stunRetransmit: 250,
  /** ms a STUN request waits for its answer: silence is what many NATs answer, so this is what looking at one takes. */
  stunDeadline: 2 * SECOND,

  // ── mux ────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** bytes of one data-channel message: the largest werift takes, and what RFC 8841 section 6 sets when SDP is silent. */
  messageBytes: 64 * KIB,
  /** bytes of messages that arrived, over all channels of a link, after which the other side is told: a quarter of the least flight. */
  arrivedEvery: 32 * KIB,
  /** bytes a link has on its way before it knows its path: as much as one stream may send without credit. */
  flightFirst: 256 * KIB,
  /** bytes a link may always have on its way: two messages, as one of them arrives while the next one leaves. */
  flightLeast: 128 * KIB,
  /** bytes a link may have on its way: 80 MB/s at 50 ms, and what native buffers at most. */
  flightMost: 8 * MIB,
  /** ms of sending beyond two round trips that may be on the way: the processes at both ends are not woken at once. */
  flightSlack: 20,
  /** bytes a link may have on its way beyond what its path holds: a socket of 1 MiB has to take it when the other side is busy. */
  flightQueue: 512 * KIB,
  /** bytes of data in a message that measures the round trip: a receipt goes with it, and 1 Mbit/s has it away in 16 ms. */
  pingData: 2 * KIB,
  /** ms after which the round trip is measured again when little is on its way. */
  roundTripIdle: SECOND,
  /** ms after which what is on its way is let run out, which takes a round trip, to measure it: 1 % at 100 ms. */
  roundTripBusy: 10 * SECOND,
  /** ms an ACK or the last CREDIT of a stream waits for something to leave with: less than a person or a printer notices. */
  controlDelay: 5,
  /** bytes a message must have left to be added to: OPEN, CREDIT and the longest RESET of one stream together. */
  messageReserve: 512,
  /** bytes a stream may send before any credit: a receipt with a logo fits, and 1,000 stalled ones stay bearable. */
  initialWindow: 256 * KIB,
  /** bytes the window of a stream may grow to while the application drains it: 80 MB/s at 50 ms. */
  maximumWindow: 4 * MIB,
  /** bytes of all grown windows of two peers together; at the bound no window grows further. */
  windowBudget: 64 * MIB,
  /** bytes a stream queues from its socket before it asks for a pause: two reads of 64 KiB. */
  streamQueue: 128 * KIB,
  /** streams of two peers at once. With initialWindow this bounds what stalled streams hold: 128 MiB. */
  streamsPerTunnel: 512,
  /** bytes one stream sends before the next one's turn: one full message. */
  quantum: 64 * KIB,
  /** bytes of a chunk below which it is copied, and joined to the one before: by itself it costs some 300 bytes more. */
  smallChunk: 4 * KIB,
  /** bytes of text in a RESET. */
  resetTextBytes: 256,

  // ── pump ───────────────────────────────────────────────────────────────────────────────────────────────────────
  /** ms to connect to a target: a printer on a LAN answers in a few, one that is off never does. */
  dialDeadline: 10 * SECOND,
  /** ms. See --health-interval; many printers take one connection, and some print or log an empty one. */
  healthInterval: 60 * SECOND,
  /** ms. A day: the most for --health-interval. */
  healthIntervalMost: 86_400 * SECOND,
  /** ms between looks at a target that is down, if --health-interval is longer: who switches it on wants to see that. */
  healthRetry: 15 * SECOND,
  /** ms a target has to close the connection of a look: a round trip on a LAN, and a slow printer. */
  healthClose: SECOND,
  /** ms of silence after which TCP asks whether the program's host still lives (RFC 9293 section 3.8.4). */
  keepAlive: 60 * SECOND,
  /** ms after which a socket that is not being read is asked whether its program has reset it: a printer waits for it. */
  pausedProbe: SECOND,
  /** ms commands wait for what they closed to be gone before they exit all the same. */
  shutdownDeadline: 3 * SECOND,
  ...PLACE_LIMITS,
} as const

export type Limits = { readonly [K in keyof typeof LIMITS]: number }

/** The limits with some of them replaced: tests put smaller ones. */
export const withLimits = (overrides: Partial<Limits> = {}): Limits => ({ ...LIMITS, ...overrides })
