/**
 * A bounded memory of pieces that took merging: piece bytes to ids. Entries are appended to flat arrays, and when one of them is full
 * everything is forgotten at once, so a caller that sends ever new words costs a refill and never memory. Nothing is allocated until the
 * first piece is added.
 */
/** Longer pieces rarely come again. */
const MAX_PIECE_BYTES = 192;

export class PieceCache {
  #slots = new Uint32Array(0);
  #hashes = new Int32Array(0);
  #keyOffsets = new Uint32Array(0);
  #idOffsets = new Uint32Array(0);
  #keys = new Uint8Array(0);
  #ids = new Uint32Array(0);
  #count = 0;
  readonly #maxEntries: number;
  readonly #maxKeyBytes: number;
  readonly #slotBits: number;

  /**
   * @param maxEntries a power of two.
   * @param maxKeyBytes bytes of all pieces together; there is room for half as many ids.
   */
  constructor(maxEntries: number, maxKeyBytes: number) {
    this.#maxEntries = maxEntries;
    this.#maxKeyBytes = maxKeyBytes;
    this.#slotBits = 32 - Math.clz32(maxEntries);
  }

  /** @returns the entry's number, or -1. */
  find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#slots;
    if (slots.length === 0) return -1;
    const mask = slots.length - 1;
    for (let slot = hash >>> (32 - this.#slotBits); ; slot = (slot + 1) & mask) {
      const entry = (slots[slot] as number) - 1;
      if (entry < 0) return -1;
      if (this.#hashes[entry] !== hash) continue;
      const offset = this.#keyOffsets[entry] as number;
      if ((this.#keyOffsets[entry + 1] as number) - offset !== end - start) continue;
      const keys = this.#keys;
      let at = start;
      while (at < end && bytes[at] === keys[offset + at - start]) at += 1;
      if (at === end) return entry;
    }
  }

  idCount(entry: number): number {
    return (this.#idOffsets[entry + 1] as number) - (this.#idOffsets[entry] as number);
  }

  /** Copies the entry's ids to `output` from `at` on. @returns the position after them. */
  copyIds(entry: number, output: Uint32Array, at: number): number {
    const ids = this.#ids;
    const last = this.#idOffsets[entry + 1] as number;
    let position = at;
    for (let from = this.#idOffsets[entry] as number; from < last; from++) output[position++] = ids[from] as number;
    return position;
  }

  add(bytes: Uint8Array, start: number, end: number, hash: number, ids: Uint32Array, idsStart: number, idsEnd: number): void {
    const length = end - start;
    if (length > MAX_PIECE_BYTES) return;
    if (this.#slots.length === 0) this.#allocate();
    let keyOffset = this.#keyOffsets[this.#count] as number;
    let idOffset = this.#idOffsets[this.#count] as number;
    if (
      this.#count === this.#maxEntries ||
      keyOffset + length > this.#maxKeyBytes ||
      idOffset + idsEnd - idsStart > this.#maxKeyBytes / 2
    ) {
      this.#slots.fill(0);
      this.#count = 0;
      keyOffset = 0;
      idOffset = 0;
    }
    const keys = this.#keys;
    for (let at = start; at < end; at++) keys[keyOffset++] = bytes[at] as number;
    for (let at = idsStart; at < idsEnd; at++) this.#ids[idOffset++] = ids[at] as number;
    const entry = this.#count++;
    this.#hashes[entry] = hash;
    this.#keyOffsets[entry + 1] = keyOffset;
    this.#idOffsets[entry + 1] = idOffset;
    let slot = hash >>> (32 - this.#slotBits);
    const mask = this.#slots.length - 1;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = entry + 1;
  }

  #allocate(): void {
    this.#slots = new Uint32Array(2 ** this.#slotBits);
    this.#hashes = new Int32Array(this.#maxEntries);
    this.#keyOffsets = new Uint32Array(this.#maxEntries + 1);
    this.#idOffsets = new Uint32Array(this.#maxEntries + 1);
    this.#keys = new Uint8Array(this.#maxKeyBytes);
    this.#ids = new Uint32Array(this.#maxKeyBytes / 2);
  }
}
