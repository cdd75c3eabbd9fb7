/** What shares find out about their printers, with real processes. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { exchange, readAll, TcpTarget } from './support/tcp.ts'
import { ENGINES, type Network, startNetwork } from './support/tunnel.ts'

let network: Network
let printer: TcpTarget
beforeEach(async () => {
  network = await startNetwork()
  printer = await TcpTarget.start((socket) => socket.resume().on('end', () => socket.end()))
})
afterEach(async () => {
  await network.stop()
  await printer.off()
})

describe('overview', () => {
  /** Asks until the health of a name is in a state. */
  async function health(name: string, state: string): Promise<unknown> {
    for (;;) {
      const { shares } = JSON.parse(await network.succeed('access', ['overview', '--json']))
      const found = shares.find((share: { name: string }) => share.name === name)?.health
      if (found?.state === state) return found
    }
  }

  test('shows what shares say of their targets, through a server that cannot read it, and after it was away', async () => {
    const share = await network.share({ pc1: printer.address }, { healthInterval: 1 })
    const off = await network.share({ pc2: printer.address })
    await network.succeed('share', ['reserve', 'private', printer.address, '--unique-name', 'pc3'])
    await share.logged('up', ({ msg }) => msg === 'the target accepts connections')
    expect(await health('pc1', 'up')).toEqual({
      state: 'up',
      code: null,
      since: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      ageSeconds: expect.any(Number),
    })
    await printer.off()
    await share.logged('down', ({ msg }) => msg === 'the target does not accept connections')
    expect(await health('pc1', 'down')).toMatchObject({ code: 'target-refused' })
    expect(await health('pc2', 'off')).toMatchObject({ code: null })
    await network.signaling.stop('SIGKILL')
    await network.startSignaling()
    expect(await health('pc1', 'down')).toMatchObject({ code: 'target-refused' })
    const table = await network.succeed('access', ['overview'])
    expect(table).toMatch(/^NAME +STATE +HEALTH +KIND /)
    expect(table).toMatch(/^pc1 +online +down \(target-refused\) +reserved/m)
    expect(table).toMatch(/^pc3 +offline +- +reserved/m)
    await Promise.all([share.stop(), off.stop()])
  })
})

test.each(ENGINES)('a job that comes under a look finds the only place of its printer free (%s)', async (engine) => {
  await network.share({ pc1: printer.address }, { engine, healthInterval: 1, maxConnections: 1 })
  const till = await network.access(['pc1'], { engine })
  expect((await exchange(till.ports.pc1 ?? 0, 'warm')).length).toBe(0)
  // The printer takes the next look for a job, and stays busy with it.
  const looking = await printer.next()
  const arrived = printer.next()
  const answer = exchange(till.ports.pc1 ?? 0, 'a job')
  const printing = await arrived
  const stale = await new Promise((resolve) => looking.write('busy', resolve))
  expect(stale).toMatchObject({ code: expect.stringMatching(/^(EPIPE|ECONNRESET)$/) })
  const job = await readAll(printing)
  printing.end(`printed ${job}`)
  expect((await answer).toString()).toBe('printed a job')
})
