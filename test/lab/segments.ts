/** What hosts are attached to: the internet, which is one router, and the LAN behind the router of a home. */
import type { Namespace } from '../../bench/network/namespace.ts'
import { type NatKind, natRules } from './nat-rules.ts'

export type Family = 4 | 6

export interface Segment {
  /** Gives a namespace an interface here, with an address and a default route. Returns the address. */
  attach(namespace: Namespace, device: string): Promise<string>
}

/** Addresses of nobody (RFC 5737, RFC 3849), and how a host reaches its router, which has no address of the internet. */
const PUBLIC = {
  4: { address: (n: number) => `203.0.113.${n}`, bits: 32, gateway: '169.254.1.1', router: '169.254.1.1/32' },
  6: { address: (n: number) => `2001:db8::${n}`, bits: 128, gateway: 'fe80::1', router: 'fe80::1/64 nodad' },
} as const
const MOST_ADDRESSES = 254

interface Port {
  /** the router's interface towards what is attached */
  readonly name: string
  readonly device: string
  address: string
}

/**
 * A router between all that have a public address. Paths are cut in it, without a word to either end, as between two
 * providers; so each end still reaches everybody else.
 */
export class Internet implements Segment {
  readonly #router: Namespace
  readonly #family: Family
  readonly #ports = new Map<Namespace, Port>()
  #addresses = 0

  constructor(router: Namespace, family: Family) {
    this.#router = router
    this.#family = family
  }

  async start(): Promise<void> {
    await this.#router.forward()
    await this.#router.nft(`
table inet lab {
  counter dropped { }
  set cuts {
    type ifname . ifname
  }
  map losses {
    type ifname . ifname : verdict
  }
  chain forward {
    type filter hook forward priority filter
    iifname . oifname @cuts counter name dropped drop
    iifname . oifname vmap @losses
  }
}`)
  }

  async attach(namespace: Namespace, device: string): Promise<string> {
    const name = `port${this.#ports.size + 1}`
    const port = { name, device, address: this.#newAddress() }
    this.#ports.set(namespace, port)
    const { gateway, router } = PUBLIC[this.#family]
    await namespace.ip(`link add ${device} type veth peer name ${name} netns ${this.#router.name}`)
    await this.#router.ip(`link set ${name} up`, `addr add ${router} dev ${name}`)
    await namespace.ip(`link set ${device} up`)
    await this.#addAddress(namespace, port)
    await namespace.ip(`route add default via ${gateway} dev ${device} onlink`)
    return port.address
  }

  /** Another address instead of the one it has; returns it. */
  async readdress(namespace: Namespace): Promise<string> {
    const port = this.#port(namespace)
    const { bits } = PUBLIC[this.#family]
    const old = port.address
    port.address = this.#newAddress()
    // Before the old one goes: with its last address an interface loses its routes.
    await this.#addAddress(namespace, port)
    await namespace.ip(`addr del ${old}/${bits} dev ${port.device}`)
    await this.#router.ip(`route del ${old}/${bits} dev ${port.name}`)
    return port.address
  }

  /** One more address, beside the one it has; returns it. */
  async addAddress(namespace: Namespace): Promise<string> {
    const address = this.#newAddress()
    await this.#addAddress(namespace, { ...this.#port(namespace), address })
    return address
  }

  /** Routes a network to what is attached here. */
  async delegate(network: string, to: Namespace): Promise<void> {
    const { name, address } = this.#port(to)
    await this.#router.ip(`route add ${network} via ${address} dev ${name}`)
  }

  /** Nothing passes between the two any more, in either direction; who asks why hears nothing. */
  async cut(one: Namespace, other: Namespace): Promise<void> {
    await this.#router.nft(`add element inet lab cuts ${this.#between(one, other)}`)
  }

  async restore(one: Namespace, other: Namespace): Promise<void> {
    await this.#router.nft(`delete element inet lab cuts ${this.#between(one, other)}`)
  }

  /** Packets that the router has dropped so far. */
  async dropped(): Promise<number> {
    const text = await this.#router.nft('list counter inet lab dropped')
    const packets = /packets (\d+)/.exec(text)?.[1]
    if (packets === undefined) throw new Error(`nft lists no counter: ${text}`)
    return Number(packets)
  }

  /** From now on so many percent of the packets between the two are lost, at random, in each direction. */
  async lose(percent: number, one: Namespace, other: Namespace): Promise<void> {
    const [a, b] = [this.#port(one).name, this.#port(other).name]
    const chain = `loss-${a}-${b}`
    await this.#router.nft(`
add chain inet lab ${chain}
add rule inet lab ${chain} numgen random mod 100 < ${percent} counter name dropped drop
add element inet lab losses { "${a}" . "${b}" : jump ${chain}, "${b}" . "${a}" : jump ${chain} }`)
  }

  /** How fast packets come to what is attached here, in Mbit/s; up to `queue` KiB wait, further ones are lost. */
  async limit(mbit: number, to: Namespace, queue = 2048): Promise<void> {
    const rate = ['tbf', 'rate', `${mbit}mbit`, 'burst', '64kb', 'limit', `${queue}kb`]
    await this.#router.tc('qdisc', 'replace', 'dev', this.#port(to).name, 'root', ...rate)
  }

  async #addAddress(namespace: Namespace, { name, device, address }: Port): Promise<void> {
    const { bits } = PUBLIC[this.#family]
    await namespace.ip(`addr add ${address}/${bits} dev ${device} ${this.#family === 6 ? 'nodad' : ''}`)
    await this.#router.ip(`route add ${address}/${bits} dev ${name}`)
  }

  #between(one: Namespace, other: Namespace): string {
    const [a, b] = [this.#port(one).name, this.#port(other).name]
    return `{ "${a}" . "${b}", "${b}" . "${a}" }`
  }

  #port(namespace: Namespace): Port {
    const port = this.#ports.get(namespace)
    if (port === undefined) throw new Error(`${namespace.name} has no address of the internet`)
    return port
  }

  #newAddress(): string {
    if (this.#addresses === MOST_ADDRESSES) throw new Error('the lab has no more public addresses')
    return PUBLIC[this.#family].address(++this.#addresses)
  }
}

/** The addresses of a LAN: its router's, and those of its hosts. */
export interface Lan {
  readonly router: string
  readonly host: (n: number) => string
  readonly bits: number
}

/** The router of a home, between its LAN (interface "lan") and what is outside ("wan"). */
export class Home implements Segment {
  readonly namespace: Namespace
  readonly depth: number
  readonly #lan: Lan
  #hosts = 0

  private constructor(namespace: Namespace, depth: number, lan: Lan) {
    this.namespace = namespace
    this.depth = depth
    this.#lan = lan
  }

  /** `depth`: 1 on the internet, 2 behind another home, …; LANs of one depth have the same addresses, as homes do. */
  static async create(namespace: Namespace, depth: number, lan: Lan, rules: string): Promise<Home> {
    await namespace.ip('link add lan type bridge', `addr add ${lan.router}/${lan.bits} dev lan`, 'link set lan up')
    await namespace.nft(rules)
    await namespace.forward()
    return new Home(namespace, depth, lan)
  }

  async attach(namespace: Namespace, device: string): Promise<string> {
    const { router, host, bits } = this.#lan
    const port = `port${++this.#hosts}`
    const address = host(this.#hosts)
    await namespace.ip(`link add ${device} type veth peer name ${port} netns ${this.namespace.name}`)
    await this.namespace.ip(`link set ${port} master lan`, `link set ${port} up`)
    await namespace.ip(
      `link set ${device} up`,
      `addr add ${address}/${bits} dev ${device} ${address.includes(':') ? 'nodad' : ''}`,
      `route add default via ${router} dev ${device}`,
    )
    return address
  }

  /** From now on it is a NAT of this kind; mappings it has are kept. */
  async become(kind: NatKind): Promise<void> {
    await this.namespace.nft(natRules(kind))
  }
}
