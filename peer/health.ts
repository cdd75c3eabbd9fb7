/**
 * Whether a target accepts connections. Jobs tell; while there are none, a look now and then does: a connection that
 * is closed as soon as it is up. It is closed with FIN, an empty job in order, which any printer knows how to take;
 * a reset is an error to many, and some report it. A look is given up the moment a job comes.
 */
import type { Socket } from 'node:net'
import { formatHostPort, type HostPort } from '../shared/hostport.ts'
import { LIMITS } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import type { Health, HealthCode, HealthState } from '../shared/status.ts'
import { dialCode, dialTarget } from './dial.ts'

export interface TargetHealthOptions {
  readonly name: string
  readonly address: HostPort
  /** ms from the last job or look to the next look; 0: never look, and never say anything but "off" */
  readonly interval: number
  readonly log: Log
}

export class TargetHealth {
  /** The state, or its code, is another one. */
  onchange: () => void = () => undefined
  readonly #options: TargetHealthOptions
  #state: HealthState
  #code: HealthCode | null = null
  #since = performance.now()
  #running = false
  #next: ReturnType<typeof setTimeout> | undefined
  /** The look under way. */
  #look: Socket | null = null

  constructor(options: TargetHealthOptions) {
    this.#options = options
    this.#state = options.interval === 0 ? 'off' : 'unknown'
  }

  get current(): Health {
    return { state: this.#state, code: this.#code, sinceMs: Math.round(performance.now() - this.#since) }
  }

  /**
   * Looks from now on, first after LIMITS.healthInterval at most: who tries nearport out with a program that takes
   * one connection in its life shall not lose it to a look.
   */
  start(): void {
    this.#running = true
    this.#schedule(Math.min(this.#options.interval, LIMITS.healthInterval))
  }

  /** A job is about to dial, or the share ends: no look is under way when this returns, and none begins. */
  pause(): void {
    this.#running = false
    clearTimeout(this.#next)
    const look = this.#look
    this.#look = null
    if (look !== null) drop(look)
  }

  /** No job is under way any more, or waits. */
  resume(): void {
    this.#running = true
    this.#again()
  }

  /** Whether a job, or a look, found the target to accept connections. */
  record(error: NodeJS.ErrnoException | null): void {
    const { name, address, interval, log } = this.#options
    const code = error && dialCode(error)
    const state = error === null ? 'up' : 'down'
    if (interval === 0 || (state === this.#state && code === this.#code)) return
    this.#state = state
    this.#code = code
    this.#since = performance.now()
    const target = formatHostPort(address)
    if (error === null) log.info({ name, target }, 'the target accepts connections')
    else log.warn({ name, target, code, reason: error.message }, 'the target does not accept connections')
    this.onchange()
  }

  #again(): void {
    const { interval } = this.#options
    this.#schedule(this.#state === 'down' ? Math.min(interval, LIMITS.healthRetry) : interval)
  }

  #schedule(ms: number): void {
    clearTimeout(this.#next)
    if (ms > 0) this.#next = setTimeout(() => this.#begin(), ms)
  }

  #begin(): void {
    const look = dialTarget(this.#options.address)
    this.#look = look
    let accepted = false
    let slow: ReturnType<typeof setTimeout> | undefined
    look.once('connect', () => {
      accepted = true
      // What the printer says unasked is dropped.
      look.resume().end()
      // It has a connection to give to a job, and keeps this one: it is taken away.
      slow = setTimeout(() => drop(look), LIMITS.healthClose)
      this.record(null)
    })
    // Whatever becomes of one that was accepted, it was accepted.
    look.on('error', (error: NodeJS.ErrnoException) => {
      if (!accepted && this.#look === look) this.record(error)
    })
    look.once('close', () => {
      clearTimeout(slow)
      if (this.#look !== look) return
      this.#look = null
      if (this.#running) this.#again()
    })
  }
}

/**
 * One that was accepted holds a place until the printer has noticed its end; a reset frees it at once. Where Node is just
 * handing that end to the kernel, it can only be closed.
 */
function drop(look: Socket): void {
  const isEnding = look.writableEnded && !look.writableFinished
  if (look.connecting || isEnding) look.destroy()
  else look.resetAndDestroy()
}
