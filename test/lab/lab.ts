/**
 * A small internet of network namespaces: a router in the middle, hosts and NATs around it, hosts and further NATs
 * behind these. close() removes it all; what a run that died has left is removed by the next one. Nothing in it can
 * reach the network of this machine.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { Namespace, removeLeftovers } from '../../bench/network/namespace.ts'
import { firewallRules, type NatKind, natRules } from './nat-rules.ts'
import { type Family, Home, Internet, type Lan, type Segment } from './segments.ts'

export class Lab {
  readonly internet: Internet
  readonly #id: string
  readonly #namespaces: Namespace[]

  private constructor(id: string, router: Namespace, family: Family) {
    this.#id = id
    this.#namespaces = [router]
    this.internet = new Internet(router, family)
  }

  /** A lab of one family only: with 6 no host has an IPv4 address, and there is no NAT. */
  static async create(family: Family = 4): Promise<Lab> {
    await removeLeftovers()
    const id = randomBytes(3).toString('hex')
    const lab = new Lab(id, await Namespace.create(`${id}-internet`), family)
    try {
      await lab.internet.start()
      return lab
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  /** A host in a home, or on the internet itself. */
  async host(name: string, at: Segment = this.internet): Promise<Host> {
    const namespace = await this.#namespace(name)
    return new Host(namespace, await at.attach(namespace, 'eth0'))
  }

  /** A home behind a NAT, in another home or on the internet itself. */
  nat(name: string, kind: NatKind, outside?: Home): Promise<Home> {
    const depth = (outside?.depth ?? 0) + 1
    const lan = { router: `192.168.${depth}.1`, host: (n: number) => `192.168.${depth}.${n + 9}`, bits: 24 }
    return this.#home(name, outside ?? this.internet, depth, lan, natRules(kind))
  }

  /** An IPv6 home behind a firewall. */
  async firewall(name: string): Promise<Home> {
    const prefix = `2001:db8:1:${this.#namespaces.length}`
    const lan = { router: `${prefix}::1`, host: (n: number) => `${prefix}::${n + 9}`, bits: 64 }
    const home = await this.#home(name, this.internet, 1, lan, firewallRules)
    await this.internet.delegate(`${prefix}::/64`, home.namespace)
    return home
  }

  async close(): Promise<void> {
    for (const namespace of this.#namespaces.splice(0)) await namespace.remove()
  }

  async #home(name: string, outside: Segment, depth: number, lan: Lan, rules: string): Promise<Home> {
    const namespace = await this.#namespace(name)
    await outside.attach(namespace, 'wan')
    return Home.create(namespace, depth, lan, rules)
  }

  async #namespace(name: string): Promise<Namespace> {
    const namespace = await Namespace.create(`${this.#id}-${name}`)
    this.#namespaces.push(namespace)
    return namespace
  }
}

export class Host {
  readonly namespace: Namespace
  /** The address it had at first. */
  readonly address: string

  constructor(namespace: Namespace, address: string) {
    this.namespace = namespace
    this.address = address
  }

  get launch(): readonly string[] {
    return this.namespace.launch
  }

  /**
   * What names mean here from now on, for programs started after the first call: address by name. All other names are
   * unknown, as no DNS server answers.
   */
  async knows(names: Readonly<Record<string, string>>): Promise<void> {
    const { files } = this.namespace
    await mkdir(files, { recursive: true })
    const lines = Object.entries(names).map(([name, address]) => `${address} ${name}\n`)
    // In place, as the file itself is mounted where the programs run.
    await writeFile(`${files}/hosts`, `127.0.0.1 localhost\n${lines.join('')}`)
    await writeFile(`${files}/resolv.conf`, 'nameserver 127.0.0.1\noptions attempts:1 timeout:1\n')
  }
}
