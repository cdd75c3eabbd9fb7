/** English. Its shape is that of every other language. */
export const en = {
  title: 'nearport console',
  tagline: 'Printers of this network, as near as this page',
  otherLanguage: '中文',
  otherLanguageHint: '切换为简体中文',

  // The signaling server
  signalingHere: 'Signaling connected',
  signalingAway: 'Signaling away',
  awayTitle: 'The signaling server is away.',
  awayText:
    'Jobs under way go on without it. It is looked for all the time; until it is back, no new path can be made.',
  backAnnounced: 'The signaling server is back.',

  // The way in
  keyTitle: 'Open the network',
  keyText:
    'Paste the link that `nearport signal` printed (the one for `nearport enable`). The key after # stays in this page: it is never sent.',
  keyLabel: 'Link or key',
  keyOpen: 'Open',
  keyElsewhere: 'That link is for another server. Its own page opens it:',
  connecting: 'Opening the network…',
  retry: 'Try again',
  otherKey: 'Use another link',
  nextLabel: 'What to do',
  detailLabel: 'Details',

  // Shares
  sharesTitle: 'Shares',
  sharesNone: 'Nothing is shared yet.',
  sharesNoneNext: 'Beside a printer, run:',
  owner: 'Owner',
  ownerReserved: 'name reserved',
  ownerEphemeral: 'name for this run only',
  ownerOf: (name: string) => `Owner of ${name}`,
  ownerChanged: 'Another owner',
  ownerChangedText: 'nothing is sent to it',
  ownerKnown: 'Known',
  ownerNow: 'Now',
  ownerCompare:
    'If the share host was replaced, `nearport identity show` there prints the new fingerprint. If not, somebody else wants these jobs.',
  ownerConsider: 'Accept the new owner…',
  ownerSure: (fingerprint: string) =>
    `Does \`nearport identity show\` on the new share host print ${fingerprint}, every character of it?`,
  ownerRefuse: 'No',
  ownerAccept: 'Yes, accept it',
  ownerAccepted: (name: string) => `The new owner of ${name} is accepted.`,
  offline: 'Offline',
  offlineText: 'No peer serves this name now.',
  online: 'Online',
  healthAsked: 'its health is not known yet',
  up: 'Ready',
  upText: 'accepts connections',
  down: 'Not ready',
  downText: 'does not accept connections',
  unknown: 'Online',
  unknownText: 'not tested yet',
  off: 'Online',
  offText: 'testing is switched off',
  since: (time: string) => `since ${time}`,
  served: 'Served since',
  streams: 'Connections',
  queued: 'Waiting',
  toTarget: 'To target',
  fromTarget: 'From target',
  figures: (name: string) => `Figures of ${name}`,
  notKnown: 'not known',
  path: 'Path from this page',
  pathNone: 'made with the first job',
  pathBytes: (sent: string, received: string) => `${sent} sent, ${received} received`,
  pathAddresses: (local: string, remote: string) => `${local} to ${remote}`,
  pathTypes: { host: 'same network', srflx: 'across NAT', prflx: 'across NAT', unknown: 'direct' },

  // Printing
  printOn: (name: string) => `Print on ${name}`,
  drop: 'Drop a file here, or',
  choose: 'choose a file',
  chooseFor: (name: string) => `Choose a file, to print on ${name}`,
  dropNow: 'Let go to print',
  typeText: 'Type text',
  textLabel: 'Text to print',
  kindLabel: 'Send it as',
  kinds: {
    plain: 'plain text',
    receipt: 'receipt (ESC/POS)',
    receiptChinese: 'Chinese receipt (ESC/POS)',
  },
  print: 'Print',
  typedName: 'Typed text',
  jobsOf: (name: string) => `Jobs of ${name}`,
  jobStates: {
    waiting: 'waits for the job before it',
    connecting: 'reaching the printer…',
    sending: 'printing',
    answering: 'all taken; the printer keeps the connection open',
    done: 'taken by the printer',
    cancelled: 'cancelled; the connection was reset',
    failed: 'not printed',
  },
  stalled: 'the printer takes nothing more just now: paper, cover, power?',
  progress: (taken: string, total: string) => `${taken} of ${total}`,
  onTheWay: (bytes: string) => `${bytes} on the way`,
  progressOf: (job: string) => `Progress of ${job}`,
  replaced: (count: number) =>
    count === 1
      ? 'One character has no place in this encoding; “?” is printed for it.'
      : `${count} characters have no place in this encoding; “?” is printed for each.`,
  actionOn: (action: string, job: string) => `${action}: ${job}`,
  cancel: 'Cancel',
  close: 'Close',
  closeHint: 'Close it once the paper is out: what is still in the printer may be lost.',
  again: 'Print again',
  remove: 'Remove',
  answer: 'The printer answered',
  answerMore: (bytes: string) => `… and ${bytes} more, not shown`,
  announced: (job: string, name: string, state: string) => `${job} on ${name}: ${state}`,

  // Who is connected
  peersTitle: 'Connected now',
  peersNone: 'Nobody but this page.',
  thisPage: 'this page',
  serves: (names: string) => `serves ${names}`,
  servesNone: 'serves nothing',
  linksOf: (peer: string) => `Links of ${peer}`,
  link: (peer: string) => `link from ${peer}`,
  roundTrip: (ms: string) => `${ms} round trip`,
  linkStreams: (count: number) => (count === 1 ? '1 connection' : `${count} connections`),
  identityHint: (identity: string) => `Identity ${identity}`,

  /** What went wrong and what to do, by code: what a page can meet. Other codes show the words of the library. */
  problems: {
    'link-invalid': {
      what: 'This is not the link of a network.',
      next: 'Copy the whole link that `nearport signal` printed, with the part after #.',
    },
    'insecure-context': {
      what: 'The browser allows no cryptography on this page, because it came over plain HTTP.',
      next: 'Open it at https://, or at http://localhost on the machine of the server: `nearport signal --tls-cert --tls-key`, or a reverse proxy with TLS.',
    },
    'browser-unsupported': {
      what: 'This browser is too old for this page.',
      next: 'Use Chrome or Edge 137, Firefox 130, Safari 17.4, or newer.',
    },
    'config-failed': {
      what: 'The browser keeps no data for this page.',
      next: 'Leave private browsing, or allow data of this site, then try again.',
    },
    'server-unreachable': {
      what: 'The signaling server does not answer.',
      next: 'Check that it runs and that this device can reach it, then try again.',
    },
    'server-timeout': { what: 'The signaling server answers too slowly.', next: 'Try again in a moment.' },
    'admission-refused': {
      what: 'The key in the link is not the key of this network.',
      next: 'Paste the link that its operator gives, complete, with the part after #.',
    },
    'version-mismatch': {
      what: 'This page and the other side are of different versions.',
      next: 'Reload the page; run the same version of nearport everywhere.',
    },
    'rate-limited': { what: 'Too many requests from here.', next: 'Wait a minute, then try again.' },
    'too-many-connections': {
      what: 'The signaling server has no place for another peer.',
      next: 'Close pages and peers that are not needed, then try again.',
    },
    'server-busy': { what: 'The signaling server is busy.', next: 'Wait a minute, then try again.' },
    'name-offline': {
      what: 'Nobody serves this name now.',
      next: 'Start `nearport share` for it on the side of the printer, then print again.',
    },
    'name-unknown': { what: 'This name is no longer shared.', next: 'Reserve or share it on the side of the printer.' },
    'owner-changed': {
      what: 'This name belongs to another owner than before.',
      next: 'Compare the two fingerprints above, and accept the new owner if it is right.',
    },
    'peer-gone': {
      what: 'The share peer went away while the connection was made.',
      next: 'Start it again, then print again.',
    },
    'proof-refused': {
      what: 'The other peer could not prove that it belongs to this network.',
      next: 'Do not print here before you know who runs the signaling server and the share.',
    },
    'link-timeout': {
      what: 'No direct path to the share peer was found.',
      next: 'Allow UDP between the two, or put one side on another network; `nearport doctor` says more.',
    },
    'link-lost': {
      what: 'The path to the share peer was lost, and did not come back in time.',
      next: 'Look at what the printer has printed, then print again.',
    },
    'resume-refused': {
      what: 'The connection was given up while there was no path.',
      next: 'Look at what the printer has printed, then print again.',
    },
    'target-refused': {
      what: 'The printer refuses the connection.',
      next: 'Switch it on; check the port that is shared.',
    },
    'target-unreachable': {
      what: 'The share peer cannot reach the printer.',
      next: 'Check the address of the printer and its network.',
    },
    'target-timeout': {
      what: 'The printer does not answer.',
      next: 'Switch it on; check its address and its cable.',
    },
    'queue-full': { what: 'Too many jobs wait for this printer.', next: 'Wait until some are done, then print again.' },
    'too-many-streams': { what: 'Too many connections at once.', next: 'Close some, then print again.' },
    'shutting-down': { what: 'The share peer is being stopped.', next: 'Start it again, then print again.' },
    'peer-reset': {
      what: 'The printer cut the connection before the job was over.',
      next: 'Look at what it has printed, then print again.',
    },
    'file-unreadable': {
      what: 'The browser can no longer read this file.',
      next: 'It was moved or changed, or it is a folder: choose it again.',
    },
  },
}

export type Words = typeof en
