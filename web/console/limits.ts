/** Every bound of the console, with its unit and its reason. Those of the connections are in shared/limits.ts. */
export const CONSOLE = {
  /** bytes of a printer's answer that are kept and shown: a status page of PJL has about 2 KiB. */
  answerBytes: 4096,
  /** jobs that are over and stay on a tile; older ones leave the list. */
  jobsKept: 5,
  /** ms without an acknowledged byte after which a job is said to stand still: a cutter takes less. */
  stalledAfter: 5000,
  /** ms between two looks at the paths of this page, and at jobs that stand still. */
  lookInterval: 2000,
} as const
