import { beforeAll, test } from '@jest/globals'
import { Lab } from './lab.ts'
import { type ServerOptions, Tunnels } from './programs.ts'
import type { Family } from './segments.ts'

/** ms: none waits for another, but all want the same two cores. */
const DEADLINE = 300_000

/**
 * Tests that all run at the same time, so that what they wait for is waited for once. jest's own test.concurrent begins
 * them before beforeAll has ended.
 */
export function together(bodies: Readonly<Record<string, () => Promise<void>>>): void {
  const running = new Map<string, Promise<void>>()
  beforeAll(() => {
    for (const [title, body] of Object.entries(bodies)) {
      const run = body()
      // Its test tells of it.
      run.catch(() => undefined)
      running.set(title, run)
    }
  })
  for (const title of Object.keys(bodies)) test(title, () => running.get(title), DEADLINE)
}

interface LabOptions extends Pick<ServerOptions, 'name'> {
  /** Two addresses for the server, so that its STUN tells NATs in full. */
  readonly twoAddresses?: boolean
}

/** Gives `use` a lab with a signaling server in it, and removes both in the end. */
export async function withLab(
  family: Family,
  use: (lab: Lab, tunnels: Tunnels) => Promise<void>,
  { name, twoAddresses = false }: LabOptions = {},
): Promise<void> {
  const lab = await Lab.create(family)
  try {
    const server = await lab.host('signal')
    const tunnels = await Tunnels.start(server, {
      ...(name === undefined ? {} : { name }),
      ...(twoAddresses ? { secondAddress: await lab.internet.addAddress(server.namespace) } : {}),
    })
    try {
      await use(lab, tunnels)
    } finally {
      await tunnels.close()
    }
  } finally {
    await lab.close()
  }
}
