/** The page before the network is open: asks for the key, or says why it cannot be opened. */
import type { Desk } from '../desk.ts'
import { CodeText } from './code-text.tsx'
import { ProblemNote } from './problem-note.tsx'
import type { DeskProps } from './props.ts'

export function Gate({ desk }: DeskProps) {
  const { stage, words } = desk
  return (
    <main class="gate">
      {stage.kind === 'connecting' && <h2 class="pending">{words.connecting}</h2>}
      {stage.kind === 'stuck' && (
        <>
          <h2>{words.title}</h2>
          <div role="alert">
            <ProblemNote problem={stage.problem} words={words} />
          </div>
          {stage.canRetry && (
            <p class="actions">
              <button type="button" class="main" onClick={() => location.reload()}>
                {words.retry}
              </button>
              <button type="button" onClick={() => desk.askForKey()}>
                {words.otherKey}
              </button>
            </p>
          )}
        </>
      )}
      {stage.kind === 'key' && <KeyForm desk={desk} problem={stage.problem} elsewhere={stage.elsewhere} />}
    </main>
  )
}

interface KeyFormProps extends DeskProps {
  readonly problem: Extract<Desk['stage'], { kind: 'key' }>['problem']
  readonly elsewhere: string | null
}

function KeyForm({ desk, problem, elsewhere }: KeyFormProps) {
  const { words } = desk
  return (
    <form
      onSubmit={(event) => {
        // A form that were sent would put the key into a query.
        event.preventDefault()
        const field = event.currentTarget.elements.namedItem('key')
        if (field instanceof HTMLInputElement) void desk.paste(field.value)
      }}
    >
      <h2>{words.keyTitle}</h2>
      <p>
        <CodeText text={words.keyText} />
      </p>
      <label for="key">{words.keyLabel}</label>
      <div class="row">
        {/* A password field: nobody beside the screen is to read it. */}
        <input id="key" name="key" type="password" required autocomplete="off" spellcheck={false} />
        <button type="submit" class="main">
          {words.keyOpen}
        </button>
      </div>
      <div role="alert">
        {problem !== null && <ProblemNote problem={problem} words={words} />}
        {elsewhere !== null && (
          <p class="problem">
            {words.keyElsewhere} <a href={elsewhere}>{elsewhere.replace(/#.*/s, '')}</a>
          </p>
        )}
      </div>
    </form>
  )
}
