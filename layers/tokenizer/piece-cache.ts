/**
 * A bounded memory of pieces that took merging: piece bytes to ids. Entries are appended to flat arrays, and when one of them is full
 * everything is forgotten at once, so a caller that sends ever new words costs a refill and never memory. Nothing is allocated until the
 * first piece is added.
 */
const SLOT_BITS = 15;
const MAX_ENTRIES = 2 ** (SLOT_BITS - 1);
const KEY_BYTES = 2 ** 20;
const ID_COUNT = 2 ** 18;
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

  /** @returns the entry's number, or -1. */
  find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#slots;
    if (slots.length === 0) return -1;
    for (let slot = hash >>> (32 - SLOT_BITS); ; slot = (slot + 1) & (2 ** SLOT_BITS - 1)) {
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
    if (this.#count === MAX_ENTRIES || keyOffset + length > KEY_BYTES || idOffset + idsEnd - idsStart > ID_COUNT) {
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
    let slot = hash >>> (32 - SLOT_BITS);
    while (this.#slots[slot] !== 0) slot = (slot + 1) & (2 ** SLOT_BITS - 1);
    this.#slots[slot] = entry + 1;
  }

  #allocate(): void {
    this.#slots = new Uint32Array(2 ** SLOT_BITS);
    this.#hashes = new Int32Array(MAX_ENTRIES);
    this.#keyOffsets = new Uint32Array(MAX_ENTRIES + 1);
    this.#idOffsets = new Uint32Array(MAX_ENTRIES + 1);
    this.#keys = new Uint8Array(KEY_BYTES);
    this.#ids = new Uint32Array(ID_COUNT);
  }
}
