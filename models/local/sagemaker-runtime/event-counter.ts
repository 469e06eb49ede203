const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** Counts the events of a container's stream as its bytes pass: server-sent events end with an empty line, JSON lines with each line. */
export class EventCounter {
  readonly #linesAreEvents: boolean;
  #lineIsEmpty = true;
  #hasContent = false;
  #events = 0;

  constructor(contentType: string) {
    this.#linesAreEvents = !contentType.startsWith('text/event-stream');
  }

  /** How many bytes of the chunk belong to the first `limit` events of the stream. */
  bytesWithin(chunk: Uint8Array, limit: number): number {
    for (const [offset, byte] of chunk.entries()) {
      if (this.#events >= limit) return offset;
      if (byte === NEWLINE) {
        if (this.#hasContent && (this.#linesAreEvents || this.#lineIsEmpty)) {
          this.#events += 1;
          this.#hasContent = false;
        }
        this.#lineIsEmpty = true;
      } else if (byte !== CARRIAGE_RETURN) {
        this.#lineIsEmpty = false;
        this.#hasContent = true;
      }
    }
    return chunk.length;
  }

  reached(limit: number): boolean {
    return this.#events >= limit;
  }
}
