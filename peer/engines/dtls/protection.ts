/** Encrypted records: AES-128-GCM (RFC 5288) and the replay window (RFC 6347 section 4.1.2.6). */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import { LIMITS } from '../../../shared/limits.ts'
import { type DtlsRecord, EPOCH_ENCRYPTED, RECORD_HEADER_BYTES, recordHeader } from './record.ts'
import { DtlsError } from './wire.ts'

export const AEAD_KEY_BYTES = 16
export const AEAD_SALT_BYTES = 4
const AEAD = 'aes-128-gcm'
const EXPLICIT_NONCE_BYTES = 8
const TAG_BYTES = 16
/** Records that one pair of keys may number; the number is part of the nonce and never comes twice. */
const NUMBERS = 2 ** 48
const WINDOW = LIMITS.dtlsReplayWindow

export interface WriteKeys {
  readonly key: Buffer
  readonly salt: Buffer
}

/** What is authenticated beside the content of a record (RFC 5246 section 6.2.3.3). */
function additionalData(header: Buffer, plainBytes: number): Buffer {
  const data = Buffer.allocUnsafe(RECORD_HEADER_BYTES)
  // The number with the epoch, type, version, length: the header has the same in another order.
  header.copy(data, 0, 3, 11)
  header.copy(data, 8, 0, 3)
  data.writeUInt16BE(plainBytes, 11)
  return data
}

/** Seals what this side writes. */
export class Sealing {
  readonly #keys: WriteKeys
  #number = 0

  constructor(keys: WriteKeys) {
    this.#keys = keys
  }

  seal(type: number, plain: Uint8Array): Buffer {
    if (this.#number >= NUMBERS) throw new DtlsError('all record numbers are used')
    const length = EXPLICIT_NONCE_BYTES + plain.length + TAG_BYTES
    const header = recordHeader(type, EPOCH_ENCRYPTED, this.#number++, length)
    const explicit = header.subarray(3, 11)
    const cipher = createCipheriv(AEAD, this.#keys.key, Buffer.concat([this.#keys.salt, explicit]))
    cipher.setAAD(additionalData(header, plain.length))
    const content = cipher.update(plain)
    cipher.final()
    return Buffer.concat([header, explicit, content, cipher.getAuthTag()])
  }
}

/** Opens what the other side wrote, each record once. */
export class Opening {
  readonly #keys: WriteKeys
  readonly #replay = new ReplayWindow()

  constructor(keys: WriteKeys) {
    this.#keys = keys
  }

  /** The content, or null for a record that the other side did not write, or that came before. */
  open({ header, number, body }: DtlsRecord): Buffer | null {
    const plainBytes = body.length - EXPLICIT_NONCE_BYTES - TAG_BYTES
    if (plainBytes < 0 || !this.#replay.isNew(number)) return null
    const nonce = Buffer.concat([this.#keys.salt, body.subarray(0, EXPLICIT_NONCE_BYTES)])
    const decipher = createDecipheriv(AEAD, this.#keys.key, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(additionalData(header, plainBytes))
    decipher.setAuthTag(body.subarray(-TAG_BYTES))
    const plain = decipher.update(body.subarray(EXPLICIT_NONCE_BYTES, -TAG_BYTES))
    try {
      decipher.final()
    } catch {
      // Its one reason to throw is a wrong tag; RFC 6347 section 4.1.2.7 has such records dropped in silence.
      return null
    }
    this.#replay.note(number)
    return plain
  }
}

/** The numbers that came among the newest {@link WINDOW}. */
export class ReplayWindow {
  /** For each place, the number that was seen there last; −1 before any. */
  readonly #seen = new Float64Array(WINDOW).fill(-1)
  #newest = -1

  isNew(number: number): boolean {
    return number > this.#newest - WINDOW && this.#seen[number % WINDOW] !== number
  }

  /** To be called only for a record that was authentic. */
  note(number: number): void {
    this.#seen[number % WINDOW] = number
    if (number > this.#newest) this.#newest = number
  }
}
