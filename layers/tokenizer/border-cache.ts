/** Remembers whether two tokens stay apart, by their ids. Direct-mapped: a newer pair takes an older one's place. */
const SLOT_BITS = 15;
const APART = 0x8000_0000;

export class BorderCache {
  /** Allocated at the first use. */
  #lefts = new Uint32Array(0);
  /** The right id plus one, and `APART`. */
  #rights = new Uint32Array(0);

  /** @param decide asked for pairs that are not remembered. */
  has(left: number, right: number, decide: (left: number, right: number) => boolean): boolean {
    if (this.#lefts.length === 0) {
      this.#lefts = new Uint32Array(2 ** SLOT_BITS);
      this.#rights = new Uint32Array(2 ** SLOT_BITS);
    }
    const slot = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> (32 - SLOT_BITS);
    const known = this.#rights[slot] as number;
    if (this.#lefts[slot] === left && (known & ~APART) === right + 1) return known >>> 31 === 1;
    const apart = decide(left, right);
    this.#lefts[slot] = left;
    this.#rights[slot] = apart ? (right + 1) | APART : right + 1;
    return apart;
  }
}
