/** What `nearport doctor` says on hosts that are no side of the matrix, and of a server that tells all of RFC 5780. */
import { expect } from '@jest/globals'
import type { Host, Lab } from './lab/lab.ts'
import type { NatKind } from './lab/nat-rules.ts'
import { FULL_TOKENS, TOKENS } from './lab/nat-words.ts'
import type { Tunnels } from './lab/programs.ts'
import { describeLab } from './lab/system.ts'
import { together, withLab } from './lab/together.ts'

/** A host behind NATs, the outermost first. */
async function hostBehind(lab: Lab, ...kinds: readonly NatKind[]): Promise<Host> {
  const name = ['host', ...kinds].join('-')
  let home: Awaited<ReturnType<Lab['nat']>> | undefined
  for (const [depth, kind] of kinds.entries()) home = await lab.nat(`${name}-nat${depth}`, kind, home)
  return lab.host(name, home)
}

const tokenOn = async (tunnels: Tunnels, host: Host): Promise<string | null> => (await tunnels.doctor(host)).token

/** The NATs before a host, the outermost first, and as which of them they show. */
const IN_A_ROW: readonly [NatKind[], keyof typeof FULL_TOKENS][] = [
  [[], 'none'],
  [['open'], 'open'],
  [['port-restricted'], 'port-restricted'],
  [['endpoint-dependent'], 'endpoint-dependent'],
  [['open', 'open'], 'open'],
  [['open', 'port-restricted'], 'port-restricted'],
  [['port-restricted', 'open'], 'port-restricted'],
  [['port-restricted', 'endpoint-dependent'], 'endpoint-dependent'],
  [['endpoint-dependent', 'open'], 'endpoint-dependent'],
]

const titleOf = (kinds: readonly NatKind[]): string => kinds.join(' before ') || 'none'

describeLab('doctor', () => {
  together({
    'tells a NAT in full by a server with two addresses, and of several the strictest': () =>
      withLab(
        4,
        async (lab, tunnels) => {
          const hosts: [string, Host][] = []
          for (const [kinds] of IN_A_ROW) hosts.push([titleOf(kinds), await hostBehind(lab, ...kinds)])
          const seen = await Promise.all(
            hosts.map(async ([title, host]) => [title, await tokenOn(tunnels, host)] as const),
          )
          expect(seen).toEqual(IN_A_ROW.map(([kinds, as]) => [titleOf(kinds), FULL_TOKENS[as]]))
        },
        { twoAddresses: true },
      ),

    'says of two hosts of one LAN that only there they meet, if their NAT is endpoint-dependent': () =>
      withLab(4, async (lab, tunnels) => {
        const nat = await lab.nat('nat', 'endpoint-dependent')
        const [one, other] = [await lab.host('one', nat), await lab.host('other', nat)]
        const token = await tokenOn(tunnels, other)
        expect(token).toBe(TOKENS['endpoint-dependent'])
        const report = await tunnels.doctor(one, '--with', token ?? '')
        expect(report).toMatchObject({ token, meet: 'no', status: 2 })
        expect(report.checks.find(({ check }) => check === 'meet')?.says).toMatch(
          /unless they are in one local network$/,
        )
        const far = await tunnels.doctor(await hostBehind(lab, 'open'), '--with', token ?? '')
        expect(far).toMatchObject({ token: TOKENS.open, meet: 'yes', status: 0 })
      }),

    'finds no NAT over IPv6, and the firewall if there is one': () =>
      withLab(6, async (lab, tunnels) => {
        const home = await lab.firewall('home')
        const [plain, behind] = [await lab.host('plain'), await lab.host('behind', home)]
        expect(await tokenOn(tunnels, plain)).toBe('ipv6:none/port-independent')
        const report = await tunnels.doctor(behind, '--with', 'ipv6:none/address-and-port-dependent')
        expect(report).toMatchObject({ token: 'ipv6:none/address-and-port-dependent', meet: 'yes', status: 0 })
        const address = expect.stringContaining(`[${behind.address}]:`)
        expect(report.nat).toMatchObject({ ipv4: null, ipv6: { mapping: 'none', address } })
      }),
  })
})
