/**
 * Open addressing over one `Uint32Array`: a slot holds `id + 1` in its low bits and the rest of the key's hash above them, so that most
 * misses are decided without looking at the key. The number of slots is a power of two; linear probing; 0 is an empty slot.
 * The compiler fills the tables, the encoder reads them straight from the file.
 */

/** Hash of a byte span, four bytes a step. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = Math.imul(end - start, 0x9e3779b1);
  let at = start;
  for (const last = end - 4; at <= last; at += 4) {
    const word =
      (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
    hash = Math.imul(hash ^ word, 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  let tail = 0;
  for (; at < end; at++) tail = (tail << 8) | (bytes[at] as number);
  hash = Math.imul(hash ^ tail, 0xc2b2ae35);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
}

/** Hash of two ids that stand side by side. */
export function hashPair(left: number, right: number): number {
  let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right + 0x7f4a7c15, 0x85ebca6b);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  return hash ^ (hash >>> 14);
}

/** Bits that `id + 1` needs, the same for every table of a vocabulary. */
export function idBitsFor(vocabularySize: number): number {
  return 32 - Math.clz32(vocabularySize + 1);
}

/** Fills a new table, at most 7/8 full. */
export function buildHashTable(ids: readonly number[], hashOf: (id: number) => number, idBits: number): Uint32Array {
  let bits = 4;
  while (2 ** bits * 0.875 < ids.length) bits += 1;
  const slots = new Uint32Array(2 ** bits);
  const mask = slots.length - 1;
  for (const id of ids) {
    const hash = hashOf(id);
    let slot = hash >>> (32 - bits);
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = (hash << idBits) | (id + 1);
  }
  return slots;
}
