/** What went wrong, what to do, and how the library put it. */
import { inWords, type Problem } from '../problem.ts'
import type { Words } from '../words.ts'
import { CodeText } from './code-text.tsx'

export function ProblemNote({ problem, words }: { readonly problem: Problem; readonly words: Words }) {
  const { what, next } = inWords(problem, words)
  return (
    <div class="problem">
      <p class="problem-what">{what}</p>
      {next !== null && (
        <p class="problem-next">
          <CodeText text={next} />
        </p>
      )}
      {problem.detail !== null && (
        <details class="problem-detail">
          <summary>{words.detailLabel}</summary>
          <p>
            <code>{problem.code}</code> <span lang="en">{problem.detail}</span>
          </p>
        </details>
      )}
    </div>
  )
}
