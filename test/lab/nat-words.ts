/** What nearport is to call what stands before the hosts of a lab. */
import type { NatKind } from './nat-rules.ts'

/** none: a host of the internet; double: a port-restricted NAT behind another one */
export const KINDS = ['none', 'open', 'port-restricted', 'endpoint-dependent', 'double'] as const
export type Kind = (typeof KINDS)[number]

/** As doctor prints it for the other side, where the server has one address. */
export const TOKENS: Readonly<Record<Kind, string>> = {
  none: 'ipv4:none/port-independent',
  open: 'ipv4:port-independent/port-independent',
  'port-restricted': 'ipv4:port-independent/address-and-port-dependent',
  'endpoint-dependent': 'ipv4:address-and-port-dependent/address-and-port-dependent',
  double: 'ipv4:port-independent/address-and-port-dependent',
}

/** The same in full, from a server with two addresses. */
export const FULL_TOKENS: Readonly<Record<'none' | NatKind, string>> = {
  none: 'ipv4:none/endpoint-independent',
  open: 'ipv4:endpoint-independent/endpoint-independent',
  'port-restricted': 'ipv4:endpoint-independent/address-and-port-dependent',
  'endpoint-dependent': 'ipv4:address-and-port-dependent/address-and-port-dependent',
}

const UNTOLD = 'endpoint-independent (or address-dependent)'

/** As the logs name it, where the server has one address. */
export const WORDS: Readonly<Record<Kind, string>> = {
  none: `without a NAT, and with ${UNTOLD} filtering`,
  open: `behind a NAT with ${UNTOLD} mapping and filtering`,
  'port-restricted': `behind a NAT with ${UNTOLD} mapping and address-and-port-dependent filtering`,
  'endpoint-dependent': 'behind a NAT with address-and-port-dependent mapping and filtering',
  double: `behind a NAT with ${UNTOLD} mapping and address-and-port-dependent filtering`,
}
