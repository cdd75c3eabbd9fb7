/** What both sides compute from their key exchange (RFC 5246 sections 5, 6.3 and 8.1, with RFC 7627). */
import { createHash, createHmac } from 'node:crypto'
import { AEAD_KEY_BYTES, AEAD_SALT_BYTES, type WriteKeys } from './protection.ts'

export const VERIFY_DATA_BYTES = 12
const MASTER_SECRET_BYTES = 48

export type Role = 'client' | 'server'

export interface Randoms {
  readonly client: Buffer
  readonly server: Buffer
}

export const sha256 = (...parts: Buffer[]): Buffer => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** The pseudorandom function of TLS 1.2 with SHA-256 (RFC 5246 section 5). */
export function prf(secret: Buffer, label: string, seed: Buffer, length: number): Buffer {
  const mac = (...parts: Buffer[]) => createHmac('sha256', secret).update(Buffer.concat(parts)).digest()
  const labelled = Buffer.concat([Buffer.from(label, 'ascii'), seed])
  const blocks: Buffer[] = []
  for (let a = mac(labelled); blocks.length * 32 < length; a = mac(a)) blocks.push(mac(a, labelled))
  return Buffer.concat(blocks).subarray(0, length)
}

/** `session` is the hash of all messages up to ClientKeyExchange (RFC 7627 section 4). */
export function extendedMasterSecret(preMaster: Buffer, session: Buffer): Buffer {
  return prf(preMaster, 'extended master secret', session, MASTER_SECRET_BYTES)
}

/** The keys each side writes with (RFC 5246 section 6.3, RFC 5288 section 3). */
export function writeKeys(master: Buffer, { client, server }: Randoms): Record<Role, WriteKeys> {
  const block = prf(master, 'key expansion', Buffer.concat([server, client]), 2 * (AEAD_KEY_BYTES + AEAD_SALT_BYTES))
  let at = 0
  const next = (bytes: number) => {
    at += bytes
    return block.subarray(at - bytes, at)
  }
  const [clientKey, serverKey] = [next(AEAD_KEY_BYTES), next(AEAD_KEY_BYTES)]
  const [clientSalt, serverSalt] = [next(AEAD_SALT_BYTES), next(AEAD_SALT_BYTES)]
  return { client: { key: clientKey, salt: clientSalt }, server: { key: serverKey, salt: serverSalt } }
}

/** What the Finished of one side says about all messages before it (RFC 5246 section 7.4.9). */
export function verifyData(master: Buffer, role: Role, messages: Buffer): Buffer {
  return prf(master, `${role} finished`, messages, VERIFY_DATA_BYTES)
}

/** Keying material for others, which only the two ends of this very handshake have (RFC 5705, without a context). */
export function exportKeyingMaterial(
  master: Buffer,
  { client, server }: Randoms,
  label: string,
  length: number,
): Buffer {
  return prf(master, label, Buffer.concat([client, server]), length)
}
