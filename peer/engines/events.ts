export type Handler<E extends Event> = ((event: E) => void) | null

/**
 * Fires an event at listeners and at the `on…` handler. One that throws is heard of as an uncaught exception, as Node
 * does it for listeners; in the engine below werift would swallow it, and native would abort the process.
 */
export function fire<E extends Event>(target: EventTarget, event: E, handler: Handler<E>): void {
  target.dispatchEvent(event)
  try {
    handler?.(event)
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}
