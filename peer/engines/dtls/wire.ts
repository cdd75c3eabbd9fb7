/** Strict reading and writing of what TLS puts on the wire (RFC 5246 section 4): big endian, vectors with their length. */

/** The other side broke the rules of DTLS, or somebody else wrote in its place: the handshake is over. */
export class DtlsError extends Error {
  override readonly name = 'DtlsError'
}

/** Reads a message from its beginning to its end. Each read throws a {@link DtlsError} where bytes are missing. */
export class Reader {
  readonly #bytes: Buffer
  readonly #what: string
  #at = 0

  /** `what` names the message in errors. */
  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes
    this.#what = what
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  u8(): number {
    return this.bytes(1).readUInt8()
  }

  u16(): number {
    return this.bytes(2).readUInt16BE()
  }

  /** A view of the next `length` bytes. */
  bytes(length: number): Buffer {
    if (length > this.left) throw new DtlsError(`${this.#what} is cut short`)
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  /** A vector whose length takes `lengthBytes` bytes. Throws unless it has from `least` to `most` bytes. */
  vector(lengthBytes: 1 | 2 | 3, least: number, most: number): Buffer {
    const length = this.bytes(lengthBytes).readUIntBE(0, lengthBytes)
    if (length < least || length > most) throw new DtlsError(`a field of ${this.#what} has ${length} bytes`)
    return this.bytes(length)
  }

  /** A vector of two-byte values. */
  list16(least: number, most: number): number[] {
    const values = new Reader(this.vector(2, least * 2, most * 2), this.#what)
    const list: number[] = []
    while (values.left > 0) list.push(values.u16())
    return list
  }

  /** Throws if anything follows. */
  end(): void {
    if (this.left > 0) throw new DtlsError(`${this.#what} has ${this.left} bytes too many`)
  }
}

export const u8 = (value: number): Buffer => Buffer.of(value)

export function u16(...values: number[]): Buffer {
  return Buffer.concat(values.map((value) => Buffer.of(value >> 8, value & 0xff)))
}

/** The bytes with their length before them. */
export function vector(lengthBytes: 1 | 2 | 3, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const length = Buffer.alloc(lengthBytes)
  length.writeUIntBE(body.length, 0, lengthBytes)
  return Buffer.concat([length, body])
}
