/** Two ends of DTLS in this process, and what an attacker between them can do. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { CipherContext } from 'werift'
import { DtlsConnection, type DtlsOptions } from '../../peer/engines/dtls/connection.ts'
import type { Flow, Numbered, Parties, Steps } from '../../peer/engines/dtls/handshake.ts'
import { clientSteps, serverSteps } from '../../peer/engines/dtls/handshake.ts'
import { type Role, sha256 } from '../../peer/engines/dtls/keys.ts'
import { recordHeader } from '../../peer/engines/dtls/record.ts'

export type Identity = Pick<Parties, 'certificate' | 'key'> & { readonly fingerprint: Buffer; readonly pem: Pem }

interface Pem {
  readonly certificate: string
  readonly key: string
}

/** A key and its certificate, as every peer makes them. */
export async function newIdentity(): Promise<Identity> {
  // ECDSA with SHA-256 on secp256r1, in the numbers of TLS
  const { certPem, keyPem } = await CipherContext.createSelfSignedCertificateWithKey({ signature: 3, hash: 4 }, 23)
  const certificate = new X509Certificate(certPem).raw
  const pem = { certificate: certPem, key: keyPem }
  return { certificate, key: createPrivateKey(keyPem), fingerprint: sha256(certificate), pem }
}

/** One end, and what came of it. */
export interface End {
  readonly connection: DtlsConnection
  readonly data: string[]
  /** in order: connected, closed, or what it failed with */
  readonly events: string[]
}

export function dtlsEnd(options: Omit<DtlsOptions, 'onconnect' | 'ondata' | 'onclose'>): End {
  const data: string[] = []
  const events: string[] = []
  const connection = new DtlsConnection({
    ...options,
    onconnect: () => events.push('connected'),
    ondata: (bytes) => data.push(bytes.toString()),
    onclose: (error) => events.push(error?.message ?? 'closed'),
  })
  return { connection, data, events }
}

/** What happens to a datagram on its way: what arrives in its place. */
export type Way = (datagram: Buffer, from: Role, count: number) => readonly Buffer[]

export interface Wire {
  readonly client: End
  readonly server: End
  /** Delivers all that is under way, and what is sent because of it. */
  settle(): void
}

type Change = Partial<DtlsOptions>

/** A client and a server who expect each other; datagrams wait until they are delivered. */
export function wire(
  identities: Record<Role, Identity>,
  way: Way = (datagram) => [datagram],
  change: Partial<Record<Role, Change>> = {},
): Wire {
  const queue: [to: Role, datagram: Buffer][] = []
  const counts = { client: 0, server: 0 }
  const end = (role: Role, other: Role): End => {
    const { certificate, key } = identities[role]
    return dtlsEnd({
      role,
      certificate,
      key,
      expected: identities[other].fingerprint,
      send: (datagram) => {
        for (const arriving of way(datagram, role, counts[role]++)) queue.push([other, arriving])
      },
      ...change[role],
    })
  }
  const ends = { client: end('client', 'server'), server: end('server', 'client') }
  ends.server.connection.start()
  ends.client.connection.start()
  return {
    ...ends,
    settle: () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) ends[next[0]].connection.receive(next[1])
    },
  }
}

/** The steps of an honest side whose messages `change` may alter before they are sent; null leaves one out. */
export function altered(role: Role, change: (message: Numbered) => Numbered | null) {
  return (parties: Parties, flow: Flow): Steps => {
    const pass = (message: Numbered): Numbered[] => {
      const changed = change(message)
      return changed === null ? [] : [changed]
    }
    const steps = role === 'client' ? clientSteps : serverSteps
    return steps(parties, {
      useKeys: flow.useKeys,
      send: (flight, encrypted) => flow.send(flight.flatMap(pass), encrypted && pass(encrypted)[0]),
    })
  }
}

/** A record without keys, as anybody can write one. */
export function plainRecord(type: number, content: Buffer, number = 1000): Buffer {
  return Buffer.concat([recordHeader(type, 0, number, content.length), content])
}

/** Where the last record of a datagram begins. */
export function lastRecordAt(datagram: Buffer): number {
  let last = 0
  for (let at = 0; at < datagram.length; at += 13 + datagram.readUInt16BE(at + 11)) last = at
  return last
}

/** The message with one bit of its last byte turned. */
export const spoilt = (message: Numbered): Numbered => {
  const body = Buffer.from(message.body)
  body[body.length - 1] = (body.at(-1) ?? 0) ^ 1
  return { ...message, body }
}
