/** Whether two peers can make a direct path through what stands before each of them, and what to do if not. */
import { FAMILIES, type Family, type NatBehaviour, type NatReport } from './nat.ts'

export interface Verdict {
  readonly meet: 'yes' | 'no' | 'unknown'
  /** A sentence without a capital and a full stop; it calls the peers "this side" and "the other side". */
  readonly says: string
  /** What can be done; where the two should meet, if they do not. */
  readonly next: string
}

interface Side {
  readonly who: 'this side' | 'the other side'
  readonly nat: NatBehaviour
}

const NOT_CROSSED =
  'put one side on a network whose NAT keeps its ports, use IPv6 on both sides, or let the router that filters pass UDP on to its nearport host'
const DROPPED = 'allow UDP both ways in the firewalls of both sides'
const ASK = 'run `nearport doctor` on both sides, and give one the word that the other prints with --with'
const ALLOW_UDP = 'allow UDP out of the network of each side, and in to the STUN port of the server'
const NO_FAMILY = 'give both sides IPv4, or both IPv6'

/** What is to be expected, before it is tried: the best of the address families both have. */
export function verdict(near: NatReport | null, far: NatReport | null): Verdict {
  const verdicts = perFamily(near, far)
  return verdicts.find(({ meet }) => meet === 'yes') ?? verdicts.find(({ meet }) => meet === 'unknown') ?? verdicts[0]
}

/** Why it failed, after it was tried: what is surely in the way comes first. */
export function whyNoPath(near: NatReport | null, far: NatReport | null): Verdict {
  const verdicts = perFamily(near, far)
  const worst = verdicts.find(({ meet }) => meet === 'no') ?? verdicts.find(({ meet }) => meet === 'unknown')
  return worst ?? { ...verdicts[0], says: `${verdicts[0].says}, but something on the way drops UDP` }
}

function perFamily(near: NatReport | null, far: NatReport | null): readonly [Verdict, ...Verdict[]] {
  if (near === null || far === null) return [halfKnown(near, far)]
  const verdicts = FAMILIES.flatMap((family) => {
    const [ours, theirs] = [near[family], far[family]]
    return ours === null || theirs === null ? [] : [over(family, ours, theirs)]
  })
  const [first, ...others] = verdicts
  return first === undefined ? [noFamily(near, far)] : [first, ...others]
}

function halfKnown(near: NatReport | null, far: NatReport | null): Verdict {
  const known = near ?? far
  const [who, other] = near === null ? ['the other side', 'this side'] : ['this side', 'the other side']
  if (known === null) return { meet: 'unknown', says: 'what the NATs of the two do is not known', next: ASK }
  const is = FAMILIES.flatMap((family) => {
    const nat = known[family]
    return nat === null ? [] : [`${placed(nat)} (${NAMES[family]})`]
  })
  const says = `${who} is ${is.length === 0 ? 'on no network' : is.join(' and ')}, and what the NAT of ${other} does is not known`
  return { meet: 'unknown', says, next: ASK }
}

function noFamily(near: NatReport, far: NatReport): Verdict {
  const has = (report: NatReport) =>
    FAMILIES.flatMap((family) => (report[family] === null ? [] : [NAMES[family]])).join(' and ') || 'no network'
  const says = `this side has ${has(near)} and the other side ${has(far)}: they have no address family in common`
  return { meet: 'no', says, next: NO_FAMILY }
}

function over(family: Family, ours: NatBehaviour, theirs: NatBehaviour): Verdict {
  const { says, ...verdict } = cross({ who: 'this side', nat: ours }, { who: 'the other side', nat: theirs })
  const where = `over ${NAMES[family]} this side is ${placed(ours)}, and the other side ${placed(theirs)}`
  return { ...verdict, says: `${where}: ${says}` }
}

/** What two NATs do together. Both peers send to where STUN saw the other, from the port their NAT gives for that. */
function cross(near: Side, far: Side): Verdict {
  const sides = [near, far]
  if (sides.some(({ nat }) => nat.mapping === 'unanswered')) {
    return { meet: 'unknown', says: "the two meet only if one can reach the other's own address", next: ALLOW_UDP }
  }
  if (sides.some(({ nat }) => nat.mapping === 'unknown')) {
    return { meet: 'unknown', says: 'that does not tell whether the two meet', next: ASK }
  }
  const [mover, other] = sides.filter(({ nat }) => isMoving(nat))
  const keeper = sides.find(({ nat }) => !isMoving(nat))
  // Who keeps its port is where the other sends to. Who does not must be let in from a port nothing was sent to.
  if (mover === undefined || (keeper !== undefined && letsAddress(keeper.nat))) {
    return { meet: 'yes', says: 'the two should meet', next: DROPPED }
  }
  if (sides.some(({ nat }) => mayLetAnybody(nat))) {
    return { meet: 'unknown', says: 'whether the two meet depends on how these NATs are made', next: NOT_CROSSED }
  }
  const moves = other === undefined ? `the NAT of ${mover.who} gives` : 'both NATs give'
  const lets = keeper === undefined ? '' : `, and the filter of ${keeper.who} lets in only the port it sent to`
  const says = `${moves} each connection another port${lets}, so the two cannot be crossed`
  return { meet: 'no', says, next: NOT_CROSSED }
}

/** Its port depends on where it sends, so that nobody but the STUN server knows where it is. */
const isMoving = ({ mapping }: NatBehaviour): boolean => /^address-/.test(mapping)

/** Whether it surely lets in a packet from an address it has sent to, but another port. */
const letsAddress = ({ filtering }: NatBehaviour): boolean =>
  filtering !== 'address-and-port-dependent' && filtering !== 'unknown'

const mayLetAnybody = ({ filtering }: NatBehaviour): boolean =>
  filtering !== 'address-and-port-dependent' && filtering !== 'address-dependent'

const NAMES = { ipv4: 'IPv4', ipv6: 'IPv6' } as const

/** "behind a NAT with …", for a sentence. */
export function placed({ mapping, filtering }: NatBehaviour): string {
  const filter = filtering === 'unknown' ? 'filtering not known' : `${spoken(filtering)} filtering`
  switch (mapping) {
    case 'none':
      if (filtering === 'endpoint-independent') return 'without a NAT, and with nothing that filters'
      if (filtering === 'port-independent') return `without a NAT, and with ${filter}`
      return filtering === 'unknown'
        ? `without a NAT, with ${filter}`
        : `without a NAT, behind a firewall with ${filter}`
    case 'unanswered':
      return 'where the STUN of the server is not heard'
    case 'unknown':
      return 'where its NAT, if any, could not be examined'
    default:
      if (mapping === filtering) return `behind a NAT with ${spoken(mapping)} mapping and filtering`
      return `behind a NAT with ${spoken(mapping)} mapping and ${filter}`
  }
}

const spoken = (kind: string): string =>
  kind === 'port-independent' ? 'endpoint-independent (or address-dependent)' : kind
