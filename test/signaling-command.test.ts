import { execFileSync } from 'node:child_process'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import { toBase64Url } from '../shared/bytes.ts'
import { randomBytes } from '../shared/crypto.ts'
import { signalingOptions } from '../signaling/command.ts'
import { parseRange } from '../signaling/source.ts'
import { closeTestSignaling, collectingLog, temporaryFolder } from './support/signaling.ts'

afterEach(closeTestSignaling)

const log = collectingLog()
const listen = '0.0.0.0:7070'
const env = { NEARPORT_HOME: '/home-of-nearport' }

describe('the options of nearport signal', () => {
  test('are read', async () => {
    const key = randomBytes(32)
    const flags = { listen: '[::1]:0', publicUrl: 'https://np.example/sub', stunPort: 'off', data: 'names' }
    expect(await signalingOptions(flags, { ...env, NEARPORT_KEY: toBase64Url(key) }, log)).toEqual({
      host: '::1',
      port: 0,
      dataDir: 'names',
      networkKey: key,
      publicUrl: 'https://np.example/sub/',
      stunPort: null,
      stunAlternatePort: undefined,
      stunAlternateAddress: undefined,
      trustedProxies: undefined,
      webDir: expect.stringMatching(/web.$/),
      tls: undefined,
      log,
    })
  })

  test('give STUN a second port and a second address', async () => {
    const flags = { listen: '192.0.2.1:7070', stunAlternatePort: '3479', stunAlternateAddress: '192.0.2.2' }
    const given = { stunPort: undefined, stunAlternatePort: 3479, stunAlternateAddress: '192.0.2.2' }
    expect(await signalingOptions(flags, env, log)).toMatchObject(given)
    expect(await signalingOptions({ listen, stunAlternatePort: 'off' }, env, log)).toMatchObject({
      stunAlternatePort: null,
    })
  })

  test('name the proxies that are trusted, in any number', async () => {
    const trustedProxy = ['127.0.0.1', '2001:db8::/32'].map(parseRange)
    expect(await signalingOptions({ listen, trustedProxy }, env, log)).toMatchObject({ trustedProxies: trustedProxy })
  })

  test('have defaults, and empty variables are none', async () => {
    const options = await signalingOptions({ listen }, { ...env, NEARPORT_KEY: '' }, log)
    expect(options).toMatchObject({ host: '0.0.0.0', port: 7070, dataDir: join(env.NEARPORT_HOME, 'signaling') })
    expect(options.networkKey).toBeUndefined()
    expect(options.stunPort).toBeUndefined()
    expect((await signalingOptions({ listen }, { NEARPORT_HOME: '' }, log)).dataDir).toMatch(/nearport.*signaling$/)
  })

  test.each([
    ['--listen without a host', { listen: ':7070' }, {}, 'listen-failed'],
    ['--listen without a port', { listen: '0.0.0.0' }, {}, 'listen-failed'],
    ['--stun-port out of range', { listen, stunPort: '65536' }, {}, 'usage'],
    ['--stun-port that is no number', { listen, stunPort: '1x' }, {}, 'usage'],
    ['--stun-alternate-port out of range', { listen, stunAlternatePort: '-1' }, {}, 'usage'],
    ['a second address beside all', { listen, stunAlternateAddress: '192.0.2.2' }, {}, 'usage'],
    ['a second address of another family', { listen: '192.0.2.1:1', stunAlternateAddress: '::1' }, {}, 'usage'],
    ['a second address that is the first', { listen: '[::1]:1', stunAlternateAddress: '::1' }, {}, 'usage'],
    ['a second address that is a name', { listen: '192.0.2.1:1', stunAlternateAddress: 'two' }, {}, 'usage'],
    [
      'a second address with one port',
      { listen: '192.0.2.1:1', stunAlternatePort: 'off', stunAlternateAddress: '192.0.2.2' },
      {},
      'usage',
    ],
    ['--public-url without a scheme', { listen, publicUrl: 'np.example' }, {}, 'usage'],
    ['--public-url of another scheme', { listen, publicUrl: 'ws://np.example' }, {}, 'usage'],
    ['--public-url with a key', { listen, publicUrl: 'http://np.example/#k' }, {}, 'usage'],
    ['--public-url with a password', { listen, publicUrl: 'http://u:p@np.example/' }, {}, 'usage'],
    ['--tls-cert alone', { listen, tlsCert: 'c' }, {}, 'tls-invalid'],
    ['--tls-key alone', { listen, tlsKey: 'k' }, {}, 'tls-invalid'],
    ['TLS files that are not there', { listen, tlsCert: '/none/c', tlsKey: '/none/k' }, {}, 'tls-invalid'],
    ['a key that is none', { listen }, { NEARPORT_KEY: 'secret' }, 'link-invalid'],
  ])('refuse %s', async (_what, flags, more, code) => {
    await expect(signalingOptions(flags, { ...env, ...more }, log)).rejects.toMatchObject({ code })
  })

  test('warn of a TLS key that everybody on the host can read', async () => {
    const folder = await temporaryFolder()
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
    execFileSync(
      'openssl',
      [
        ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -days 1'.split(' '),
        '-keyout',
        key,
        '-out',
        cert,
      ],
      { stdio: 'ignore' },
    )
    const warnings = async (mode: number) => {
      await chmod(key, mode)
      const collected = collectingLog()
      await signalingOptions({ listen, tlsCert: cert, tlsKey: key }, env, collected)
      return collected.entries
    }
    expect(await warnings(0o640)).toEqual([])
    expect(await warnings(0o644)).toMatchObject([{ level: 'warn', fields: { file: key, next: `chmod o= ${key}` } }])
  })

  test('refuse TLS files that are no PEM, and never repeat a key', async () => {
    const folder = await temporaryFolder()
    const file = join(folder, 'cert.pem')
    await writeFile(file, 'x')
    const flags = { listen, tlsCert: file, tlsKey: file }
    await expect(signalingOptions(flags, env, log)).rejects.toMatchObject({ code: 'tls-invalid' })
    const secret = signalingOptions({ listen }, { NEARPORT_KEY: 'my-secret' }, log)
    await expect(secret).rejects.toMatchObject({ message: expect.not.stringContaining('my-secret') })
  })
})
