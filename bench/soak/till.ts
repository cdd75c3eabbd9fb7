/** The tills: each sends one job after another to a printer behind one access process, and waits for its answer. */
import { createHash } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { jobBytes } from './pattern.ts'
import { answerTo } from './printer.ts'
import type { Random } from './random.ts'

const KIB = 1024
const MIB = 1024 * KIB
export const JOB_BYTES = { least: KIB, most: 4 * MIB } as const
/** bytes a second of a slow till; the other half of the jobs are sent as fast as they are taken */
const PACE = { least: 200 * KIB, most: 4 * MIB } as const
const STEP = 16 * KIB
/** ms between two jobs of a till */
const PAUSE = { least: 100, most: 1500 } as const
/** Of so many jobs one is given up by its till on the way. */
const GIVES_UP = 1 / 50

/**
 * printed: ended in order, with the answer. ended: in order, with another answer, or none. reset: cut off.
 * refused: nobody listened. gave-up: the till itself cut it off. open: not over yet.
 */
export type Outcome = 'printed' | 'ended' | 'reset' | 'refused' | 'gave-up' | 'open'

export interface Job {
  readonly id: number
  readonly size: number
  readonly sha256: string
  readonly access: string
  readonly printer: string
  readonly beganAt: number
  endedAt: number
  outcome: Outcome
  /** all that came back */
  answer: string
  /** of the socket of the till, as the log of the access names it */
  from: string
  /** code of the error of its socket */
  error: string | null
}

export interface Order {
  readonly id: number
  readonly size: number
  readonly access: string
  readonly port: number
  readonly printer: string
  /** bytes a second, or null for as fast as it goes */
  readonly pace: number | null
  /** The till resets the connection after so many bytes; null: it does not. */
  readonly givesUpAfter: number | null
}

/** What a till does next. */
export function drawOrder(random: Random, id: number, access: string, binds: ReadonlyMap<string, number>): Order {
  const [printer, port] = random.pick([...binds])
  const size = Math.round(random.logBetween(JOB_BYTES.least, JOB_BYTES.most))
  const pace = random.next() < 0.5 ? null : random.logBetween(PACE.least, PACE.most)
  const givesUpAfter = random.next() < GIVES_UP ? Math.floor(random.between(0, size)) : null
  return { id, size, access, port, printer, pace, givesUpAfter }
}

export const drawPause = (random: Random): number => random.between(PAUSE.least, PAUSE.most)

/** Sends a job; `note` gets it at once, and it changes until the promise resolves. */
export function send(order: Order, note: (job: Job) => void): Promise<Job> {
  const bytes = jobBytes(order.id, order.size)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const { id, size, access, printer } = order
  const job: Job = {
    ...{ id, size, sha256, access, printer },
    ...{ beganAt: Date.now(), endedAt: 0, outcome: 'open', answer: '', from: '', error: null },
  }
  note(job)
  const socket = connect({ host: '127.0.0.1', port: order.port, allowHalfOpen: true })
  return new Promise((resolve) => {
    let ended = false
    let gaveUp = false
    // Not at "connect": a connection may be reset before we learn that it was there.
    socket.once('connectionAttempt', () =>
      process.nextTick(() => {
        job.from = `${socket.localAddress}:${socket.localPort}`
      }),
    )
    socket.once('connect', () => {
      const last = order.givesUpAfter ?? size
      write(socket, bytes.subarray(0, last), order.pace, () => {
        if (order.givesUpAfter === null) socket.end()
        else {
          gaveUp = true
          socket.resetAndDestroy()
        }
      })
    })
    socket.on('data', (chunk: Buffer) => {
      job.answer += chunk.toString('latin1')
    })
    socket.once('end', () => {
      ended = true
    })
    socket.on('error', (cause: NodeJS.ErrnoException) => {
      job.error = cause.code ?? cause.message
    })
    socket.once('close', () => {
      job.endedAt = Date.now()
      if (gaveUp) job.outcome = 'gave-up'
      else if (ended && job.answer === answerTo(id, sha256)) job.outcome = 'printed'
      else if (job.error === 'ECONNREFUSED') job.outcome = 'refused'
      else job.outcome = ended && job.error === null ? 'ended' : 'reset'
      resolve(job)
    })
  })
}

/** Writes all, not faster than the pace; `done` is called once the socket has taken it, unless that is gone before. */
async function write(socket: Socket, bytes: Buffer, pace: number | null, done: () => void): Promise<void> {
  const began = Date.now()
  for (let at = 0; at < bytes.length && !socket.destroyed; at += STEP) {
    const room = socket.write(bytes.subarray(at, at + STEP))
    if (!room) await drained(socket)
    const early = pace === null ? 0 : began + (at / pace) * 1000 - Date.now()
    if (early > 5) await delay(early)
  }
  if (!socket.destroyed) done()
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      socket.off('drain', go).off('close', go)
      resolve()
    }
    socket.once('drain', go).once('close', go)
  })
}
