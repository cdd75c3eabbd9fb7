/** Who this browser is for an origin: an Ed25519 key pair that stays in the browser, whose private half nobody can read. */
import { Identity } from '../../shared/crypto.ts'
import { NearportError } from '../../shared/errors.ts'
import { type Database, KEYS } from './database.ts'

const KEY = 'identity'

/** Makes it the first time; two pages that begin at once get the same one. Throws `browser-unsupported`. */
export async function loadIdentity(database: Database): Promise<Identity> {
  const known = await database.get(KEYS, KEY)
  if (isKeyPair(known)) return Identity.of(known)
  const made = await makeKeyPair()
  const kept = await database.keep(KEYS, KEY, made)
  return Identity.of(isKeyPair(kept) ? kept : made)
}

async function makeKeyPair(): Promise<CryptoKeyPair> {
  try {
    const made = await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify'])
    if (isKeyPair(made)) return made
  } catch (error) {
    throw new NearportError('browser-unsupported', 'this browser has no Ed25519 in its WebCrypto', { cause: error })
  }
  throw new NearportError('browser-unsupported', 'this browser makes no key pair for Ed25519')
}

const isKeyPair = (value: unknown): value is CryptoKeyPair =>
  typeof value === 'object' &&
  value !== null &&
  'privateKey' in value &&
  value.privateKey instanceof CryptoKey &&
  'publicKey' in value &&
  value.publicKey instanceof CryptoKey
