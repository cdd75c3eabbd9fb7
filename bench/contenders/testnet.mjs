/** A DHT of our own on 127.0.0.1; prints the port of the node that others start from, and ends by a signal. */
import createTestnet from 'hyperdht/testnet.js'

const NODES = 4

const { bootstrap } = await createTestnet(NODES, { host: '127.0.0.1' })
process.stdout.write(`${bootstrap[0].port}\n`)
