/** The requests of a peer that wait for their answers. */
import { type Deferred, deferred } from './deferred.ts'
import { NearportError } from './errors.ts'
import type { Limits } from './limits.ts'
import type { ClientMessage, ListedShare, ServerMessage } from './messages.ts'
import type { SignalingConnection } from './signaling-connection.ts'

type Request = Extract<ClientMessage, { request: number }>
type WithoutNumber<R> = R extends Request ? Omit<R, 'request'> : never
export type RequestBody = WithoutNumber<Request>
type Answer = Extract<ServerMessage, { type: 'ok' | 'shares' | 'refused' }>

interface Pending {
  readonly answer: Deferred<ListedShare[]>
  readonly shares: ListedShare[]
  deadline: ReturnType<typeof setTimeout> | undefined
}

export class Requests {
  readonly #limits: Limits
  readonly #pending = new Map<number, Pending>()
  #last = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** Resolves at `ok`, with the shares that came before it. Rejects with the refusal, or with `server-timeout`. */
  send(connection: SignalingConnection, body: RequestBody): Promise<ListedShare[]> {
    const request = ++this.#last
    const pending: Pending = { answer: deferred(), shares: [], deadline: undefined }
    this.#pending.set(request, pending)
    connection.send({ ...body, request }, () => this.#expect(request, pending))
    return pending.answer.promise
  }

  /** Takes an answer from the server; false if nothing waits for it. Throws `message-malformed` for an endless list. */
  settle(message: Answer): boolean {
    const { request } = message
    const pending = request === null ? undefined : this.#pending.get(request)
    if (request === null || pending === undefined) return false
    clearTimeout(pending.deadline)
    if (message.type === 'shares') {
      pending.shares.push(...message.shares)
      if (pending.shares.length > this.#limits.listedEntries) {
        throw new NearportError('message-malformed', `the server sent more than ${this.#limits.listedEntries} shares`)
      }
      this.#expect(request, pending)
      return true
    }
    this.#pending.delete(request)
    if (message.type === 'ok') pending.answer.resolve(pending.shares)
    else pending.answer.reject(new NearportError(message.code, message.message))
    return true
  }

  rejectAll(reason: NearportError): void {
    for (const { answer, deadline } of this.#pending.values()) {
      clearTimeout(deadline)
      answer.reject(reason)
    }
    this.#pending.clear()
  }

  #expect(request: number, pending: Pending): void {
    pending.deadline = setTimeout(() => {
      this.#pending.delete(request)
      const seconds = this.#limits.requestDeadline / 1000
      pending.answer.reject(new NearportError('server-timeout', `the server did not answer within ${seconds} s`))
    }, this.#limits.requestDeadline)
  }
}
