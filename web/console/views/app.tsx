/** The whole page. */
import { Gate } from './gate.tsx'
import { Peers } from './peers.tsx'
import type { DeskProps } from './props.ts'
import { Shape } from './shape.tsx'
import { Shares } from './shares.tsx'

export function App({ desk }: DeskProps) {
  return (
    <>
      <Header desk={desk} />
      {desk.stage.kind === 'open' ? (
        <main class="open">
          {!desk.isSignalingHere && <Away desk={desk} />}
          <Shares desk={desk} />
          <Peers desk={desk} network={desk.stage.network} />
        </main>
      ) : (
        <Gate desk={desk} />
      )}
      <p class="heard" role="status">
        {desk.announcement}
      </p>
    </>
  )
}

function Header({ desk }: DeskProps) {
  const { words, isSignalingHere } = desk
  return (
    <header class="top">
      <h1 class="mark">
        <Shape kind="printer" />
        <span>nearport</span>
      </h1>
      {desk.stage.kind === 'open' && (
        <p class={`signaling tone-${isSignalingHere ? 'good' : 'bad'}`}>
          <Shape kind={isSignalingHere ? 'here' : 'away'} />
          {isSignalingHere ? words.signalingHere : words.signalingAway}
        </p>
      )}
      <button
        type="button"
        class="quiet language"
        lang={desk.language === 'en' ? 'zh-CN' : 'en'}
        title={words.otherLanguageHint}
        onClick={() => desk.switchLanguage()}
      >
        {words.otherLanguage}
      </button>
    </header>
  )
}

function Away({ desk: { words } }: DeskProps) {
  return (
    <div class="away">
      <Shape kind="away" />
      <p>
        <strong>{words.awayTitle}</strong> {words.awayText}
      </p>
    </div>
  )
}
