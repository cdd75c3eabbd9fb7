/** One share: how it is, what it carries, and what is printed on it. */
import { shortIdentity } from '../../../shared/crypto.ts'
import type { PathView, ShareStatus, ShareView } from '../../browser/index.ts'
import type { Desk } from '../desk.ts'
import { type Condition, conditionOf } from '../health.ts'
import { inWords } from '../problem.ts'
import type { Words } from '../words.ts'
import { OwnerNote } from './owner-note.tsx'
import { pathType } from './path-type.ts'
import { PrintForm } from './print-form.tsx'
import { Shape } from './shape.tsx'
import { Slips } from './slips.tsx'

export interface TileProps {
  readonly desk: Desk
  readonly share: ShareView
}

const TONES: Readonly<Record<Condition, string>> = {
  up: 'good',
  down: 'bad',
  changed: 'bad',
  offline: 'soft',
  asked: 'plain',
  unknown: 'plain',
  off: 'plain',
}

function conditionInWords(condition: Condition, words: Words): readonly [string, string] {
  switch (condition) {
    case 'up':
      return [words.up, words.upText]
    case 'changed':
      return [words.ownerChanged, words.ownerChangedText]
    case 'down':
      return [words.down, words.downText]
    case 'unknown':
      return [words.unknown, words.unknownText]
    case 'off':
      return [words.off, words.offText]
    case 'asked':
      return [words.online, words.healthAsked]
    case 'offline':
      return [words.offline, words.offlineText]
  }
}

export function Tile({ desk, share }: TileProps) {
  const { name } = share
  const isOver = desk.droppingOn === name
  return (
    <li>
      <article class={`tile${isOver ? ' over' : ''}`} data-share={name} aria-labelledby={`share-${name}`}>
        <div class="body">
          <Head desk={desk} share={share} />
          <OwnerNote desk={desk} share={share} />
          <Figures desk={desk} share={share} />
          <PrintForm desk={desk} name={name} isOver={isOver} />
        </div>
        <div class="slot" />
        <Slips desk={desk} name={name} />
      </article>
    </li>
  )
}

function Head({ desk, share }: TileProps) {
  const { words } = desk
  const { name, owner, status, reserved } = share
  const condition = conditionOf(share)
  const [state, text] = conditionInWords(condition, words)
  const code = condition === 'down' ? (status?.health.code ?? null) : null
  return (
    <>
      <h3 id={`share-${name}`}>{name}</h3>
      <p class={`condition tone-${TONES[condition]}`}>
        <Shape kind={condition} />
        <span>
          <strong>{state}</strong>{' '}
          <span class="condition-text">
            {code === null ? text : inWords({ code, detail: null, next: null }, words).what}
          </span>
        </span>
      </p>
      <p class="fine">
        {status !== null && condition !== 'offline' && <Since desk={desk} status={status} />}
        <span title={words.identityHint(owner)}>
          {words.owner} <code>{shortIdentity(owner)}</code>
        </span>
        <span>{reserved ? words.ownerReserved : words.ownerEphemeral}</span>
      </p>
    </>
  )
}

function Since({ desk, status }: { readonly desk: Desk; readonly status: ShareStatus }) {
  const time = desk.beganAt(status, status.health.sinceMs)
  const words = desk.words.since(desk.format.moment(time, Date.now()))
  return <time dateTime={new Date(time).toISOString()}>{words}</time>
}

function Figures({ desk, share }: TileProps) {
  const { words, format } = desk
  const { status, name } = share
  const path = desk.paths.get(name)
  if (share.state === 'offline') return null
  const rows: readonly (readonly [string, string])[] =
    status === null
      ? []
      : [
          [words.streams, format.number(status.streams)],
          [words.queued, format.number(status.queued)],
          [words.toTarget, format.bytes(status.toTarget)],
          [words.fromTarget, format.bytes(status.fromTarget)],
        ]
  return (
    <dl class="figures" aria-label={words.figures(name)}>
      {rows.map(([term, value]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>{value}</dd>
        </div>
      ))}
      {status !== null && (
        <div class="served">
          <dt>{words.served}</dt>
          <dd>{format.moment(desk.beganAt(status, status.servedMs), Date.now())}</dd>
        </div>
      )}
      <div class="path">
        <dt>{words.path}</dt>
        <dd>{path === undefined ? words.pathNone : <PathFigures desk={desk} path={path} />}</dd>
      </div>
    </dl>
  )
}

function PathFigures({ desk: { words, format }, path }: { readonly desk: Desk; readonly path: PathView }) {
  const { local, remote, roundTripMs, bytesSent, bytesReceived } = path
  const parts = [
    pathType(remote.type, words),
    ...(roundTripMs === null ? [] : [words.roundTrip(format.milliseconds(roundTripMs))]),
    words.pathBytes(format.bytes(bytesSent), format.bytes(bytesReceived)),
  ]
  return (
    <span title={words.pathAddresses(`${local.address}:${local.port}`, `${remote.address}:${remote.port}`)}>
      {parts.join(' · ')}
    </span>
  )
}
