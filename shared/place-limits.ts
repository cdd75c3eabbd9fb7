/** The limits of what a share process has for others, see Places: a part of LIMITS, and read from there. */

const SECOND = 1000

export const PLACE_LIMITS = {
  /**
   * links a share process has at once, where its files suffice; about 200 KiB each. One identity has 264 at most: forty
   * tills that share one, with six links each.
   */
  linksPerProcess: 1024,
  /**
   * links of a share process that are not ready, a part of those. One identity has 66 at most: forty tills that share
   * one and come back at once. A place is free again when the link is ready, or else after linkDeadline, so that
   * strangers can make it try 8 links a second, and not more.
   */
  pendingLinks: 256,
  /**
   * identities that places are kept for in a share process, because they were here before: half of all places, the same
   * number for each. Forty tills, and room for as many consoles.
   */
  regulars: 64,
  /** ms after which a regular that did not come back makes room for another: a shop closes for the holidays. */
  regularAway: 30 * 86_400 * SECOND,
  /** sessions a second of which the server is told that they are refused, for long: answers to others wait behind that. */
  refusalsPerSecond: 5,
  /** such sessions at once. */
  refusalsBurst: 50,
  /** ms between lines of the log that say how often something happened that others cause. */
  tallyInterval: 60 * SECOND,
  /**
   * streams a share process has at once, where its files and its memory suffice. One identity has 1,056 at most: forty
   * tills that share one, with 26 jobs each.
   */
  streamsPerProcess: 4096,
  /** streams of one name at once, of which one identity has 528 at most: as many as a process may have to one peer. */
  streamsPerName: 2048,
  /** files a process may have open where the system does not tell: the least that systems with servers on them allow. */
  openFiles: 1024,
  /** files kept for what is not a link or a stream: 30 that Node and an engine open, the log, the server, looks at targets. */
  reservedFiles: 64,
  /**
   * streams of one share that wait for a free place under --max-connections. One identity has 132 at most: forty tills
   * that share one, with three jobs each.
   */
  queuedStreams: 512,
  /** ms between looks at who is idle, while others wait; see --idle-timeout. */
  idleLook: SECOND,
  /** ms. An hour: the most for --idle-timeout. */
  idleTimeoutMost: 3600 * SECOND,
} as const
