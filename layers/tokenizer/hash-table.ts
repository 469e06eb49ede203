/**
 * Open addressing over one `Uint32Array`: a slot holds `value + 1` in its low bits and the rest of the key's hash above them, so that most
 * misses are decided without looking at the key. The number of slots is a power of two; linear probing; 0 is an empty slot.
 * The compiler fills the tables, the encoder reads them straight from the file.
 */

const WORD_FACTOR = 0x85ebca6b;
export const HASH_START = 0x9e3779b1 | 0;

/** Takes four more bytes (little-endian) into a running hash. */
export function hashWord(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, WORD_FACTOR);
  return mixed ^ (mixed >>> 15);
}

/** Ends a running hash: `tail` has the last 0 to 3 bytes, `length` counts all of them. */
export function finishHash(hash: number, tail: number, length: number): number {
  let mixed = Math.imul(hash ^ tail ^ (length << 24), 0xc2b2ae35);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x2c1b3c6d);
  return mixed ^ (mixed >>> 13);
}

/** Hash of a byte span. The hashes of its prefixes come from the same running hash. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = HASH_START;
  let at = start;
  for (const last = end - 4; at <= last; at += 4) {
    hash = hashWord(
      hash,
      (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24),
    );
  }
  let tail = 0;
  for (let shift = 0; at < end; at++, shift += 8) tail |= (bytes[at] as number) << shift;
  return finishHash(hash, tail, end - start);
}

/** Hash of two ids that stand side by side. */
export function hashPair(left: number, right: number): number {
  let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right + 0x7f4a7c15, 0x85ebca6b);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  return hash ^ (hash >>> 14);
}

/** Bits for ids from 0 to `vocabularySize`, the last of which stands for no token. */
export function idBitsFor(vocabularySize: number): number {
  return 32 - Math.clz32(vocabularySize + 1);
}

/** Fills a new table, at most 7/8 full. */
export function buildHashTable(entries: readonly { readonly id: number; readonly hash: number }[], idBits: number): Uint32Array {
  let bits = 4;
  while (2 ** bits * 0.875 < entries.length) bits += 1;
  const slots = new Uint32Array(2 ** bits);
  const mask = slots.length - 1;
  for (const { id, hash } of entries) {
    let slot = hash >>> (32 - bits);
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = (hash << idBits) | (id + 1);
  }
  return slots;
}
