/** A name whose owner is not the one that is known, and how the new one is accepted. */
import { identityFingerprint, type ShareView } from '../../browser/index.ts'
import type { Desk } from '../desk.ts'
import { CodeText } from './code-text.tsx'

interface OwnerNoteProps {
  readonly desk: Desk
  readonly share: ShareView
}

export function OwnerNote({ desk, share: { name, owner, knownOwner } }: OwnerNoteProps) {
  const { words } = desk
  if (knownOwner === null || knownOwner === owner) return null
  const considered = desk.considered.get(name)
  const fingerprint = identityFingerprint(considered ?? owner)
  return (
    <section class="problem owner-note" aria-label={words.ownerOf(name)}>
      <dl class="fingerprints">
        <div>
          <dt>{words.ownerKnown}</dt>
          <dd>
            <code>{identityFingerprint(knownOwner)}</code>
          </dd>
        </div>
        <div>
          <dt>{words.ownerNow}</dt>
          <dd>
            <code>{fingerprint}</code>
          </dd>
        </div>
      </dl>
      <p class="problem-next">
        <CodeText text={considered === undefined ? words.ownerCompare : words.ownerSure(fingerprint)} />
      </p>
      <p class="actions">
        {considered === undefined ? (
          <button type="button" key="consider" onClick={() => desk.consider(name, owner)}>
            {words.ownerConsider}
          </button>
        ) : (
          <>
            <button type="button" key="refuse" onClick={() => desk.consider(name, null)}>
              {words.ownerRefuse}
            </button>
            <button type="button" key={considered} onClick={() => void desk.trust(name, considered)}>
              {words.ownerAccept}
            </button>
          </>
        )}
      </p>
    </section>
  )
}
