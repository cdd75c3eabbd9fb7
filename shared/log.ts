/** What the shared code logs with; pino has this shape. Fields never hold a key, a link or a sealed message. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
