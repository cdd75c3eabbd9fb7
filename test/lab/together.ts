import { beforeAll, test } from '@jest/globals'
import { Lab } from './lab.ts'
import { Tunnels } from './programs.ts'
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

/** Gives `use` a lab with a signaling server in it, and removes both in the end. `name`: as Tunnels.start has it. */
export async function withLab(
  family: Family,
  use: (lab: Lab, tunnels: Tunnels) => Promise<void>,
  name?: string,
): Promise<void> {
  const lab = await Lab.create(family)
  try {
    const tunnels = await Tunnels.start(await lab.host('signal'), name)
    try {
      await use(lab, tunnels)
    } finally {
      await tunnels.close()
    }
  } finally {
    await lab.close()
  }
}
