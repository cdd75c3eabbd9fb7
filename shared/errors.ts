/**
 * Every error nearport can name. The code is what programs match on (never the text); the exit status is what a
 * command ends with: 1 when the same command may succeed later, 2 when it will not succeed as asked.
 * `docs/errors.md` has one row for each, and a test holds the two together.
 */
import { safeText } from './safe-text.ts'

export const ERRORS = {
  // What the user typed, or the environment holds
  usage: { exit: 2, next: 'run the command with --help' },
  'name-malformed': {
    exit: 2,
    next: 'use 3 to 63 of a-z, 0-9 and "-", beginning and ending with a letter or a digit',
  },
  'target-invalid': { exit: 2, next: 'give the target as HOST:PORT, for example 192.168.1.185:9100' },
  'bind-invalid': { exit: 2, next: 'give --bind as HOST:PORT for one name, or NAME=HOST:PORT for many' },
  'bind-taken': { exit: 2, next: 'stop the program that holds the port, or choose another port' },
  'bind-failed': { exit: 2, next: 'choose an address of this machine, and a port this user may open' },
  'no-free-port': { exit: 2, next: 'widen --auto-start-port and --auto-end-port' },
  'link-invalid': { exit: 2, next: 'copy the whole link that `nearport signal` printed, with the part after #' },
  'not-enabled': { exit: 2, next: 'run `nearport enable LINK` first, or set NEARPORT_LINK' },
  'already-enabled': { exit: 2, next: 'run `nearport disable` first, or set NEARPORT_HOME to another folder' },
  'config-invalid': { exit: 2, next: 'mend or remove the file named above' },
  'config-failed': { exit: 2, next: 'check the permissions and free space of the folder named above' },
  'folder-unsafe': {
    exit: 2,
    next: 'look at what is in it, then run `chmod go-w` on it; or name a folder inside it, which nearport makes itself',
  },
  'identity-exists': {
    exit: 2,
    next: 'run `nearport identity export FILE` if that identity is still needed, then import with --replace',
  },
  'not-reserved-here': { exit: 2, next: 'run `nearport reserve private TARGET --unique-name NAME` here first' },
  'engine-missing': { exit: 2, next: 'use --engine auto, or install the package node-datachannel' },
  'insecure-context': { exit: 2, next: 'open the page over https:, or from localhost' },
  'browser-unsupported': { exit: 2, next: 'use a current Chrome, Edge, Firefox or Safari' },

  // The signaling server
  'server-unreachable': { exit: 1, next: 'check that the server runs and that this host can reach it' },
  'server-timeout': { exit: 1, next: 'try again; if it goes on, look at the log of the server' },
  'admission-refused': {
    exit: 2,
    next: 'the key is not of this network: enable again with the link its operator gives',
  },
  'version-mismatch': { exit: 2, next: 'update the side that the sentence names' },
  'message-malformed': { exit: 2, next: 'run the same version of nearport on the server and on both sides' },
  'rate-limited': { exit: 1, next: 'wait a minute and try again' },
  'too-many-connections': { exit: 1, next: 'stop peers that are not needed, or raise the limit of the server' },
  'too-many-names': { exit: 2, next: 'release names that are not needed' },
  'server-busy': { exit: 1, next: 'wait a minute and try again' },
  'server-stopping': { exit: 1, next: 'wait for the server to come back' },
  'store-failed': { exit: 1, next: 'look at the disk of the server: free space, permissions' },
  'store-locked': {
    exit: 2,
    next: 'another `nearport signal` uses this --data folder: stop it, or use another folder',
  },
  'listen-failed': {
    exit: 2,
    next: 'choose another --listen, --stun-port or --stun-alternate-port, or stop the program that holds it',
  },
  'tls-invalid': { exit: 2, next: 'give --tls-cert and --tls-key together, both PEM files this user can read' },
  'key-mismatch': { exit: 2, next: 'unset NEARPORT_KEY, or give the key this --data folder began with' },

  // Names
  'name-taken': { exit: 2, next: 'choose another name' },
  'name-unknown': { exit: 2, next: 'check the spelling; the other side makes it with `reserve` or `share private`' },
  'name-offline': { exit: 1, next: 'start `nearport share` for this name on the other side' },
  'not-owner': { exit: 2, next: 'run this in the environment that reserved the name' },
  'owner-changed': {
    exit: 2,
    next: 'compare the new fingerprint with `nearport identity show` on the share host; if it is that, run `nearport trust NAME`',
  },
  'owner-unknown': { exit: 2, next: '`nearport overview` shows the fingerprints of the owners' },
  displaced: { exit: 2, next: 'a newer process of this environment serves the name: keep only one' },

  // Between the two peers
  'peer-gone': { exit: 1, next: 'start the other side again' },
  'signal-refused': { exit: 1, next: 'the server altered or replayed a message: check who runs it' },
  'sdp-invalid': { exit: 1, next: 'run the same version of nearport on both sides' },
  'proof-refused': { exit: 2, next: 'the other peer does not hold the network key, or someone is in between' },
  'proof-timeout': { exit: 1, next: 'look at the log of the other side' },
  'link-timeout': {
    exit: 1,
    next: 'no direct path was found: allow UDP, or put one side on a network whose NAT keeps its ports',
  },
  'link-lost': { exit: 1, next: 'it is tried again by itself; check the network if it stays so' },
  'resume-refused': { exit: 1, next: 'send the job again: its connection was given up while there was no path' },
  'too-many-links': { exit: 1, next: 'stop peers that are not needed' },
  'too-many-shares': { exit: 2, next: 'use a second process for the further names' },

  // One TCP connection (the reasons a RESET frame carries)
  'peer-reset': { exit: 1, next: 'the program at the other end reset the connection' },
  'target-refused': { exit: 1, next: 'switch the printer on; check the port of the target' },
  'target-unreachable': { exit: 1, next: 'check the address of the target and the network it is on' },
  'target-timeout': { exit: 1, next: 'switch the printer on; check the address of the target' },
  'queue-full': { exit: 1, next: 'wait until earlier jobs are done, or raise --max-connections' },
  'too-many-streams': { exit: 1, next: 'close connections that are not needed' },
  'idle-timeout': { exit: 1, next: 'send the job again; or raise --idle-timeout at the share side' },
  'shutting-down': { exit: 1, next: 'wait until the other side runs again' },
  'frame-malformed': { exit: 2, next: 'run the same version of nearport on both sides' },
  'credit-overrun': { exit: 2, next: 'run the same version of nearport on both sides' },

  // Ours
  internal: { exit: 1, next: 'this is a fault of nearport: report it with the log' },
} as const satisfies Record<string, { readonly exit: 1 | 2; readonly next: string }>

export type ErrorCode = keyof typeof ERRORS

/** What an error may know better than its code. */
export interface ErrorDetails extends ErrorOptions {
  readonly next?: string
  readonly exit?: 1 | 2
}

/**
 * The one error class: a code from {@link ERRORS}, and a sentence that says what happened to what. All words of others
 * come in an error, and so its text is made safe to be shown here.
 */
export class NearportError extends Error {
  override readonly name = 'NearportError'
  readonly code: ErrorCode
  /** What the user can do next: what its code says, unless this very error knows better. */
  readonly next: string
  /** 1: may succeed later; 2: will not succeed as asked. */
  readonly exitStatus: 1 | 2

  constructor(code: ErrorCode, message: string, options: ErrorDetails = {}) {
    super(safeText(message), options)
    this.code = code
    this.next = options.next ?? ERRORS[code].next
    this.exitStatus = options.exit ?? ERRORS[code].exit
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERRORS, value)
}

/** Any thrown value as a NearportError; what is not ours becomes `internal` and keeps its cause. */
export function asNearportError(error: unknown, code: ErrorCode = 'internal'): NearportError {
  if (error instanceof NearportError) return error
  return new NearportError(code, error instanceof Error ? error.message : String(error), { cause: error })
}

/** An error as the fields of a line in the log. */
export const explained = ({ code, message, next }: NearportError) => ({ code, reason: message, next })
