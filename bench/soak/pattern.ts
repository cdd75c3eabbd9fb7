/**
 * The bytes of a job: cells of 16 bytes, each with the job's id, its own place in the job, and a check over both. So
 * every wrong byte is found, and bytes of another job or from another place say where they are from.
 */
const CELL = 16
const WORDS = CELL / 4
/** Smaller jobs would have no whole header. */
export const LEAST_JOB = CELL

/** Two words into one, differently for (a, b) and (b, a). */
function mix(a: number, b: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ b
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35)
  return (h ^ (h >>> 13)) >>> 0
}

/** The job with this id and size. The first cell has the size in the place of its number. */
export function jobBytes(id: number, size: number): Buffer {
  const cells = Math.ceil(size / CELL)
  const words = new Uint32Array(cells * WORDS)
  for (let cell = 0; cell < cells; cell++) {
    const second = cell === 0 ? size : cell
    words[cell * WORDS] = id
    words[cell * WORDS + 1] = second
    words[cell * WORDS + 2] = mix(id, second)
    words[cell * WORDS + 3] = cell === 0 ? HEADER : mix(second, id)
  }
  return Buffer.from(words.buffer, 0, size)
}

const HEADER = 0x4a4f4221

export interface Inspection {
  /** null: too few bytes to tell, or no job at all */
  readonly job: number | null
  /** what the job says of its own size; 0 if it does not */
  readonly size: number
  /** what is not as it was sent; null: all bytes are the beginning of that job */
  readonly wrong: string | null
}

/** Compares what arrived with the job that its first cell names. */
export function inspect(received: Buffer): Inspection {
  if (received.length < CELL) return { job: null, size: 0, wrong: null }
  const [job, size, check, header] = [0, 4, 8, 12].map((at) => received.readUInt32LE(at)) as [
    number,
    number,
    number,
    number,
  ]
  if (check !== mix(job, size) || header !== HEADER) {
    return { job: null, size: 0, wrong: `begins with ${describe(received, 0)}` }
  }
  if (received.equals(jobBytes(job, size).subarray(0, received.length))) return { job, size, wrong: null }
  const expected = jobBytes(job, size)
  let at = 0
  while (at < expected.length && received[at] === expected[at]) at++
  return { job, size, wrong: `at byte ${at} of ${size}: ${describe(received, at)}` }
}

/** Whose bytes these are, if a whole cell is near; else the bytes. */
function describe(bytes: Buffer, at: number): string {
  for (let from = Math.max(0, at - CELL + 1); from < at + CELL && from + CELL <= bytes.length; from++) {
    const [id, second, check, last] = [0, 4, 8, 12].map((word) => bytes.readUInt32LE(from + word)) as [
      number,
      number,
      number,
      number,
    ]
    if (check !== mix(id, second)) continue
    if (last === HEADER) return `byte ${from} is the beginning of job ${id}`
    if (last === mix(second, id)) return `byte ${from} is byte ${second * CELL} of job ${id}`
  }
  return `bytes ${bytes.subarray(at, at + CELL).toString('hex')}`
}
