/**
 * Raw text that waits to be released, and what replaces the pieces that were found in it. Offsets count UTF-16 units from the start of the
 * stream. A piece that begins inside another one gets no text of its own. What is released depends on `until` and on the pieces alone, not on
 * how often `release` was called before.
 */

interface Piece {
  readonly start: number;
  /** Infinite while the piece is open. */
  end: number;
  readonly text: string;
  /** The text may be shown before the piece has ended. */
  readonly isEager: boolean;
  isShown: boolean;
}

export class ReleaseQueue {
  #raw = '';
  /** Offset of the first unit in `#raw`: everything before it is released or replaced. */
  #start = 0;
  /** Where the pieces that have been replaced end. */
  #replacedUntil = 0;
  /** Ordered by their start. Those before `#next` have been replaced: an array that is shifted for each of thousands takes quadratic time. */
  #pieces: Piece[] = [];
  #next = 0;

  /** Offset of the first unit that is not released yet. */
  get releasedUntil(): number {
    return this.#start;
  }

  push(raw: string): void {
    this.#raw += raw;
  }

  /** A piece to replace. It must not begin before what was released. */
  replace(start: number, end: number, text: string): void {
    this.#insert({ start, end, text, isEager: false, isShown: false });
  }

  /** From `start` on everything is replaced by one text, until `close`. Only one piece is open at a time. */
  open(start: number, text: string): void {
    this.#insert({ start, end: Infinity, text, isEager: true, isShown: false });
  }

  close(end: number): void {
    const open = this.#pieces.find((piece) => piece.end === Infinity);
    if (open !== undefined) open.end = end;
  }

  /** Releases the text before `until`. A piece that reaches beyond it waits whole, unless it may be shown before it ends. */
  release(until: number): string {
    let released = '';
    for (let first = this.#pieces[this.#next]; first !== undefined; first = this.#pieces[this.#next]) {
      const isReady = first.isEager ? first.start < until : first.end <= until;
      if (!isReady) return released + this.#take(Math.min(until, first.start));
      released += this.#take(first.start);
      if (!first.isShown && first.start >= this.#replacedUntil) released += first.text;
      first.isShown = true;
      this.#replacedUntil = Math.max(this.#replacedUntil, Math.min(first.end, until));
      this.#skip(this.#replacedUntil);
      if (first.end > until) return released;
      this.#next += 1;
    }
    this.#pieces = [];
    this.#next = 0;
    return released + this.#take(until);
  }

  #insert(piece: Piece): void {
    let index = this.#pieces.length;
    while (index > this.#next && (this.#pieces[index - 1]?.start ?? 0) > piece.start) index -= 1;
    if (index === this.#pieces.length) this.#pieces.push(piece);
    else this.#pieces.splice(index, 0, piece);
  }

  #take(until: number): string {
    const text = this.#raw.slice(0, Math.max(until - this.#start, 0));
    this.#skip(until);
    return text;
  }

  #skip(offset: number): void {
    if (offset <= this.#start) return;
    this.#raw = this.#raw.slice(offset - this.#start);
    this.#start = offset;
  }
}
