/** Holds what the printers received against what the tills sent. */
import { answerTo, type Receipt } from './printer.ts'
import type { Job } from './till.ts'

/**
 * Whether the process that stood next to this end of a connection was killed while it was open. The kernel then ends its
 * sockets in order (FIN) as if the program had: nobody can tell this end from a real one, so it is no mismatch.
 */
export interface Kills {
  readonly share: (receipt: Receipt) => boolean
  readonly access: (job: Job) => boolean
}

export const NO_KILLS: Kills = { share: () => false, access: () => false }

/** Every way in which what arrived is not what was sent, a sentence each. */
export function mismatches(jobs: readonly Job[], receipts: readonly Receipt[], kills: Kills = NO_KILLS): string[] {
  const sent = new Map(jobs.map((job) => [job.id, job]))
  const received = new Map<number, Receipt[]>()
  const found: string[] = []
  for (const receipt of receipts) {
    found.push(...wrongReceipt(receipt, sent, kills))
    if (receipt.job !== null) received.set(receipt.job, [...(received.get(receipt.job) ?? []), receipt])
  }
  for (const job of jobs) found.push(...wrongJob(job, received.get(job.id) ?? [], kills))
  return found
}

function wrongReceipt(receipt: Receipt, sent: ReadonlyMap<number, Job>, kills: Kills): string[] {
  const { printer, bytes, end, wrong } = receipt
  const at = `printer ${printer}`
  const cut = end !== 'fin' || kills.share(receipt)
  if (receipt.job === null) {
    if (wrong !== null) return [`${at}: a job of ${bytes} bytes that nobody sent: it ${wrong}`]
    // A connection without a byte is no job: a printer does nothing with it.
    return cut || bytes === 0 ? [] : [`${at}: an end in order after ${bytes} bytes`]
  }
  const job = sent.get(receipt.job)
  const who = `${at}: job ${receipt.job}`
  if (job === undefined) return [`${who} was never sent`]
  const found: string[] = []
  if (job.printer !== printer) found.push(`${who} was for printer ${job.printer}`)
  if (job.size !== receipt.size) found.push(`${who} has the size ${receipt.size}, not ${job.size}`)
  if (wrong !== null) found.push(`${who}, ${wrong}`)
  if (bytes < job.size && !cut) {
    const when = `${new Date(receipt.openedAt).toISOString()} to ${new Date(receipt.endedAt).toISOString()}`
    found.push(`${who} ended in order after ${bytes} of ${job.size} bytes (${when}; for its till: ${job.outcome})`)
  }
  return found
}

function wrongJob(job: Job, receipts: readonly Receipt[], kills: Kills): string[] {
  const who = `job ${job.id} (${job.access} to ${job.printer}, ${job.size} bytes, ${job.outcome})`
  const found: string[] = []
  if (receipts.length > 1) found.push(`${who} arrived ${receipts.length} times`)
  const [receipt] = receipts
  if (job.outcome === 'refused' && receipt !== undefined) found.push(`${who} arrived all the same`)
  if (job.outcome === 'ended') {
    const right = answerTo(job.id, job.sha256)
    if (!right.startsWith(job.answer)) found.push(`${who} got the answer ${JSON.stringify(job.answer)}`)
    else if (!kills.access(job)) found.push(`${who} ended in order with ${job.answer.length} bytes of its answer`)
  }
  if (job.outcome === 'reset' && !answerTo(job.id, job.sha256).startsWith(job.answer)) {
    found.push(`${who} got the answer ${JSON.stringify(job.answer)} before its reset`)
  }
  if (job.outcome === 'printed') {
    if (receipt === undefined) found.push(`${who} did not arrive`)
    else if (receipt.end !== 'fin' || receipt.bytes !== job.size || receipt.sha256 !== job.sha256) {
      found.push(`${who} arrived with ${receipt.bytes} bytes, ${receipt.end}, sha256 ${receipt.sha256}`)
    }
  }
  return found
}
