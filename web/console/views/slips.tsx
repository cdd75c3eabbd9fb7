/** The jobs of a printer, as the paper that comes out of it: the newest at the top. */
import type { Desk } from '../desk.ts'
import type { Job, JobState } from '../jobs.ts'
import { AnswerNote } from './answer-note.tsx'
import { ProblemNote } from './problem-note.tsx'
import { Shape, type ShapeKind } from './shape.tsx'

interface SlipsProps {
  readonly desk: Desk
  readonly name: string
}

interface SlipProps extends SlipsProps {
  readonly job: Job
}

const LOOKS: Readonly<Record<JobState, readonly [ShapeKind, string]>> = {
  waiting: ['waiting', 'soft'],
  connecting: ['busy', 'plain'],
  sending: ['busy', 'plain'],
  answering: ['busy', 'plain'],
  done: ['done', 'good'],
  cancelled: ['cancelled', 'soft'],
  failed: ['failed', 'bad'],
}

export function Slips({ desk, name }: SlipsProps) {
  const { jobs } = desk.queue(name)
  if (jobs.length === 0) return null
  return (
    <ol class="slips" aria-label={desk.words.jobsOf(name)} reversed>
      {jobs.toReversed().map((job) => (
        <Slip key={job.id} desk={desk} name={name} job={job} />
      ))}
    </ol>
  )
}

function Slip({ desk, name, job }: SlipProps) {
  const { words, format } = desk
  const title = desk.titleOf(job)
  const isStalled = desk.isStalled(job)
  const [shape, tone] = LOOKS[job.state]
  const onTheWay = job.sent - job.acknowledged
  return (
    <li class="slip" data-state={job.state}>
      <h4>
        <span class="slip-name">{title}</span> <span class="slip-size">{format.bytes(job.total)}</span>
      </h4>
      <progress
        aria-label={words.progressOf(title)}
        max={Math.max(1, job.total)}
        value={job.total === 0 && job.state === 'done' ? 1 : job.acknowledged}
      />
      <p class={`slip-state tone-${isStalled ? 'warn' : tone}`}>
        <Shape kind={shape} />
        <span>{isStalled ? words.stalled : words.jobStates[job.state]}</span>
      </p>
      {!job.isOver && job.state !== 'waiting' && (
        <p class="fine">
          <span data-acknowledged={job.acknowledged}>
            {words.progress(format.bytes(job.acknowledged), format.bytes(job.total))}
          </span>
          {onTheWay > 0 && <span data-on-the-way={onTheWay}>{words.onTheWay(format.bytes(onTheWay))}</span>}
        </p>
      )}
      {job.source.replaced > 0 && <p class="fine">{words.replaced(job.source.replaced)}</p>}
      {job.problem !== null && <ProblemNote problem={job.problem} words={words} />}
      {job.answer.total > 0 && <AnswerNote desk={desk} answer={job.answer} />}
      <Actions desk={desk} name={name} job={job} />
    </li>
  )
}

function Actions({ desk, name, job }: SlipProps) {
  const { words } = desk
  const title = desk.titleOf(job)
  const queue = desk.queue(name)
  if (!job.isOver) {
    const isTaken = job.state === 'answering'
    return (
      <p class="actions">
        <button
          type="button"
          aria-label={words.actionOn(isTaken ? words.close : words.cancel, title)}
          onClick={() => job.cancel()}
        >
          {isTaken ? words.close : words.cancel}
        </button>
        {isTaken && <span class="fine">{words.closeHint}</span>}
      </p>
    )
  }
  return (
    <p class="actions">
      <button type="button" aria-label={words.actionOn(words.again, title)} onClick={() => queue.add(job.source)}>
        {words.again}
      </button>
      <button
        type="button"
        class="quiet"
        aria-label={words.actionOn(words.remove, title)}
        onClick={() => queue.remove(job)}
      >
        {words.remove}
      </button>
    </p>
  )
}
