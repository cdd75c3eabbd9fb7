// A signaling server as a process of its own, so that a test can kill it: node signal-process.mjs FOLDER, with the
// key in NEARPORT_KEY. Prints its URL when it listens.

import { parseNetworkKey } from '../../dist/shared/invite.js'
import { startSignaling } from '../../dist/signaling/server.js'

const quiet = () => undefined
const server = await startSignaling({
  host: '127.0.0.1',
  port: 0,
  stunPort: null,
  dataDir: process.argv[2],
  networkKey: parseNetworkKey(process.env.NEARPORT_KEY),
  log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
})
process.stdout.write(`${server.url}\n`)
