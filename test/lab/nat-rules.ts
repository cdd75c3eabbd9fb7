/** NATs as nftables: how they map a port to the outside, and whom they let in by it (RFC 4787 sections 4 and 5). */

export type NatKind = 'open' | 'port-restricted' | 'endpoint-dependent'

interface Behaviour {
  /** One outside port for a socket, whoever it sends to; else a new one, at random, for each. */
  readonly keepsPort: boolean
  /** Only those get in, address and port, that were sent to before; else everybody. */
  readonly filters: boolean
}

const BEHAVIOURS: Readonly<Record<NatKind, Behaviour>> = {
  open: { keepsPort: true, filters: false },
  'port-restricted': { keepsPort: true, filters: true },
  'endpoint-dependent': { keepsPort: false, filters: true },
}

/**
 * The rules of a NAT between "lan" and "wan". What comes in unasked is dropped before conntrack confirms it: else it
 * would take the port of a mapping that comes a moment later, and that would get another one.
 */
export function natRules(kind: NatKind): string {
  const { keepsPort, filters } = BEHAVIOURS[kind]
  // The chain at prerouting must be there, also empty, or answers are not translated back.
  return `
flush ruleset
table ip nat {
  map fullcone {
    type inet_service : ipv4_addr . inet_service
    flags dynamic
    size 65535
  }
  chain prerouting {
    type nat hook prerouting priority dstnat
    ${keepsPort ? 'iifname "wan" meta l4proto udp dnat to udp dport map @fullcone' : ''}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat
    ${keepsPort ? 'oifname "wan" meta l4proto udp update @fullcone { udp sport : ip saddr . udp sport }' : ''}
    oifname "wan" masquerade ${keepsPort ? '' : 'random'}
  }
}
table ip filter {
  chain input {
    type filter hook input priority filter
    iifname "wan" ct state established,related accept
    iifname "wan" drop
  }
  chain forward {
    type filter hook forward priority filter
    ${filters ? 'iifname "wan" ct state established,related accept' : ''}
    ${filters ? 'iifname "wan" drop' : ''}
  }
}
`
}

/** An IPv6 router of a home: no translation, and in comes only what answers. */
export const firewallRules = `
flush ruleset
table ip6 filter {
  chain forward {
    type filter hook forward priority filter
    iifname "wan" ct state established,related accept
    iifname "wan" drop
  }
}
`
