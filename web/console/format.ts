/** Numbers, bytes and times as the language of the page writes them. */

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const

export interface Format {
  /** in powers of 1000: "20.9 MB" */
  bytes(count: number): string
  number(value: number): string
  /** "2.4 ms" */
  milliseconds(ms: number): string
  /** The time of a day, with its date unless it is that of `now`; both ms since 1970. */
  moment(time: number, now: number): string
}

export function formatFor(language: string): Format {
  const unit = (name: string, digits: number, unitDisplay: 'short' | 'long' = 'short') =>
    new Intl.NumberFormat(language, { style: 'unit', unit: name, unitDisplay, maximumFractionDigits: digits })
  // The short form of a byte knows no plural.
  const bytes = UNITS.map((name, power) => (power === 0 ? unit(name, 0, 'long') : unit(name, 1)))
  const number = new Intl.NumberFormat(language)
  const [fine, coarse] = [unit('millisecond', 1), unit('millisecond', 0)]
  const clock = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit' })
  const calendar = new Intl.DateTimeFormat(language, {
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
  })
  return {
    bytes(count) {
      const power = powerOf(count)
      return bytes[power]?.format(count / 1000 ** power) ?? number.format(count)
    },
    number: (value) => number.format(value),
    milliseconds: (ms) => (ms < 10 ? fine : coarse).format(ms),
    moment: (time, now) => (isSameDay(time, now) ? clock : calendar).format(time),
  }
}

/** Of 1000; 999,950 and more are shown with the next unit, as they would round up to 1000 of this one. */
function powerOf(count: number): number {
  let power = 0
  while (power < UNITS.length - 1 && count / 1000 ** power >= (power === 0 ? 1000 : 999.95)) power++
  return power
}

const isSameDay = (one: number, other: number): boolean =>
  new Date(one).toDateString() === new Date(other).toDateString()
