/** What the printer answered. */
import type { Answer } from '../answer.ts'
import type { Desk } from '../desk.ts'

export function AnswerNote({ desk: { words, format }, answer }: { readonly desk: Desk; readonly answer: Answer }) {
  return (
    <figure class="answer">
      <figcaption>
        {words.answer} <span class="slip-size">{format.bytes(answer.total)}</span>
      </figcaption>
      <pre>
        {answer.parts.map(({ kind, text }, at) =>
          kind === 'text' ? (
            text
          ) : (
            <span class="hex" key={`${at}${text}`}>
              {text}
            </span>
          ),
        )}
      </pre>
      {answer.dropped > 0 && <p class="fine">{words.answerMore(format.bytes(answer.dropped))}</p>}
    </figure>
  )
}
