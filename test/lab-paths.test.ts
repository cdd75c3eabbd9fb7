/**
 * Paths that are no cell of the matrix: one LAN, and IPv6. And the matrix's own control: what failed works once the NAT
 * is another, or the path is there, and nothing else has changed.
 */
import { expect } from '@jest/globals'
import type { Host, Lab } from './lab/lab.ts'
import { expectOutcome, type Failing, print } from './lab/outcome.ts'
import type { Tunnels } from './lab/programs.ts'
import { describeLab } from './lab/system.ts'
import { together, withLab } from './lab/together.ts'
import { type Access, ENGINES, type EngineName } from './support/tunnel.ts'

const NAME = 'printer'
const nameOn = (engine: EngineName): string => `${NAME}-${engine}`

/** Sends a job through a new access on each engine; `look` may ask more of the access. */
async function printAll(
  tunnels: Tunnels,
  host: Host,
  expected: 'works' | Failing,
  look: (access: Access) => Promise<void> = async () => undefined,
): Promise<void> {
  const each = async (engine: EngineName) => {
    const access = await tunnels.access(host, engine, [nameOn(engine)])
    expectOutcome(await print(tunnels, host, access, nameOn(engine)), expected)
    await look(access)
    expect((await access.stop()).code).toBe(0)
  }
  await Promise.all(ENGINES.map(each))
}

const shareAll = (tunnels: Tunnels, host: Host): Promise<unknown> =>
  Promise.all(ENGINES.map((engine) => tunnels.share(host, engine, nameOn(engine))))

/** The path that the access took, as it logs it. */
async function expectPath(access: Access, path: RegExp): Promise<void> {
  const line = await access.logged('link ready', ({ msg }) => msg === 'link ready')
  expect(line.path).toMatch(path)
}

describeLab('paths', () => {
  const six = (title: string, hosts: (lab: Lab) => Promise<[share: Host, access: Host]>) => ({
    [`IPv6 only: ${title}`]: () =>
      withLab(6, async (lab, tunnels) => {
        const [share, access] = await hosts(lab)
        await shareAll(tunnels, share)
        await printAll(tunnels, access, 'works', (access) =>
          expectPath(access, /^\w+ 2001:db8:\S+ to \w+ 2001:db8:\S+$/),
        )
      }),
  })

  together({
    'one LAN: straight, whatever its NAT': () =>
      withLab(4, async (lab, tunnels) => {
        const nat = await lab.nat('nat', 'endpoint-dependent')
        const [share, access] = [await lab.host('share', nat), await lab.host('access', nat)]
        await shareAll(tunnels, share)
        await printAll(tunnels, access, 'works', (access) =>
          expectPath(access, /^host 192\.168\.1\.11:\d+ to (host|prflx) 192\.168\.1\.10:\d+$/),
        )
      }),

    ...six('two hosts of the internet', async (lab) => [await lab.host('share'), await lab.host('access')]),
    ...six('a firewall before each', async (lab) => [
      await lab.host('share', await lab.firewall('share-home')),
      await lab.host('access', await lab.firewall('access-home')),
    ]),

    'what an endpoint-dependent NAT prevented works once it is port-restricted': () =>
      withLab(4, async (lab, tunnels) => {
        const nat = await lab.nat('share-nat', 'endpoint-dependent')
        const share = await lab.host('share', nat)
        const access = await lab.host('access', await lab.nat('access-nat', 'port-restricted'))
        await shareAll(tunnels, share)
        await printAll(tunnels, access, {
          access: 'port-restricted',
          share: 'endpoint-dependent',
          because: 'not-crossed',
        })
        await nat.become('port-restricted')
        await printAll(tunnels, access, 'works')
      }),

    'what worked fails once the NAT is endpoint-dependent': () =>
      withLab(4, async (lab, tunnels) => {
        const nat = await lab.nat('share-nat', 'port-restricted')
        const share = await lab.host('share', nat)
        const access = await lab.host('access', await lab.nat('access-nat', 'port-restricted'))
        await shareAll(tunnels, share)
        await printAll(tunnels, access, 'works')
        await nat.become('endpoint-dependent')
        // The share looked at its NAT when it came to the server, and goes by that.
        const ports = { access: 'port-restricted', share: 'port-restricted' } as const
        await printAll(tunnels, access, { ...ports, because: 'dropped' })
      }),

    'two hosts of the internet with no path between them, until it is restored': () =>
      withLab(4, async (lab, tunnels) => {
        const [share, access] = [await lab.host('share'), await lab.host('access')]
        await lab.internet.cut(share.namespace, access.namespace)
        await shareAll(tunnels, share)
        await printAll(tunnels, access, { access: 'none', share: 'none', because: 'dropped' })
        await lab.internet.restore(share.namespace, access.namespace)
        await printAll(tunnels, access, 'works')
      }),
  })
})
