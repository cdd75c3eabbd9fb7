import { describe, expect, test } from '@jest/globals'
import { formatHostPort, parseHostPort } from '../shared/hostport.ts'

describe('HOST:PORT', () => {
  test.each([
    ['192.168.1.185:9100', '192.168.1.185', 9100],
    ['printer-1.local:9100', 'printer-1.local', 9100],
    ['my_printer:1', 'my_printer', 1],
    ['localhost:65535', 'localhost', 65_535],
    ['[::1]:9901', '::1', 9901],
    ['[fe80::1%eth0]:9100', 'fe80::1%eth0', 9100],
    ['[::ffff:10.0.0.1]:80', '::ffff:10.0.0.1', 80],
  ])('%s is read and written back', (text, host, port) => {
    expect(parseHostPort(text, 'target-invalid')).toEqual({ host, port })
    expect(formatHostPort({ host, port })).toBe(text)
  })

  test.each([
    '',
    ':',
    '9100',
    ':9100',
    'host',
    'host:',
    'host:0',
    'host:01',
    'host:65536',
    'host:99999',
    'host:-1',
    'host:9e3',
    'host: 9100',
    ' host:9100',
    'host:9100 ',
    'ho st:9100',
    'http://host:9100',
    'user@host:9100',
    'host/path:9100',
    '-host:9100',
    'host-:9100',
    'host..local:9100',
    'host.:9100',
    `${'a'.repeat(64)}:9100`,
    `${'a.'.repeat(130)}a:9100`,
    'dr\u00fccker:9100',
    '192.168.1:9100',
    '192.168.1.256:9100',
    '192.168.01.1:9100',
    '1.2.3.4.5:9100',
    '::1:9901',
    '[]:9901',
    '[::1]9901',
    '[::1:9901',
    '::1]:9901',
    '[[::1]]:9901',
    '[127.0.0.1]:9901',
    '[::1%]:9901',
    '[:::1]:9901',
    '[1:2]:9901',
    '[::1]x:9901',
  ])('%j is refused with the code of who asks', (text) => {
    expect(() => parseHostPort(text, 'bind-invalid')).toThrow(expect.objectContaining({ code: 'bind-invalid' }))
  })

  test('port 0 passes only where it means something', () => {
    expect(parseHostPort('127.0.0.1:0', 'listen-failed', { port0: true })).toEqual({ host: '127.0.0.1', port: 0 })
    expect(() => parseHostPort('127.0.0.1:00', 'listen-failed', { port0: true })).toThrow()
  })
})
