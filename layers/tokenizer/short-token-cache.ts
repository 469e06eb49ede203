/**
 * The last tokens of two to eight bytes that whole pieces were, by the bytes themselves packed in two words: most words of most languages
 * in Latin script. Direct-mapped and small enough to stay in the processor's cache, where the hash table of a large vocabulary does not.
 */
const SLOT_BITS = 12;
const WORDS = 3;

export const MAX_SHORT_BYTES = 8;

export class ShortTokenCache {
  /** Low word, high word, id and length. A length of 0 is an empty slot. */
  readonly #slots = new Uint32Array(WORDS * 2 ** SLOT_BITS);

  /** Where the piece's token is or would be. */
  slotOf(low: number, high: number): number {
    return ((Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b)) >>> (32 - SLOT_BITS)) * WORDS;
  }

  /** @returns the id, or -1. */
  get(slot: number, low: number, high: number, length: number): number {
    const slots = this.#slots;
    const found = slots[slot + 2] as number;
    return slots[slot] === low >>> 0 && slots[slot + 1] === high >>> 0 && (found & 0xf) === length ? found >>> 4 : -1;
  }

  set(slot: number, low: number, high: number, length: number, id: number): void {
    this.#slots[slot] = low;
    this.#slots[slot + 1] = high;
    this.#slots[slot + 2] = (id << 4) | length;
  }
}
