/** `nearport/browser`: a web page as an access peer. */
export { NearportError } from '../../shared/errors.ts'
export { identityFingerprint } from '../../shared/fingerprint.ts'
export type {
  Connection,
  ConnectOptions,
  LinkView,
  Live,
  Network,
  OpenOptions,
  PathEnd,
  PathView,
  PeerView,
  ShareStatus,
  ShareView,
} from './api.ts'
export { connect } from './connect.ts'
