/**
 * Cuts what a container sends into PayloadParts where it hurts. SageMaker's parts are aligned to nothing: clients that parse each part
 * by itself work for months and then break on a part that ends inside "é" or inside `data: {"cho`. Nothing is held back or reordered.
 */

/** Random numbers in [0, 1) from a seed: mulberry32, of the public domain. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The chunk's parts in order: cut inside a multi-byte character when it has one, inside its first word, and at a random place. Now and then an empty part is among them. */
export function cutHostile(chunk: Uint8Array, random: () => number): Uint8Array[] {
  const continuation = chunk.findIndex((byte) => byte >= 0x80 && byte < 0xc0);
  const within = (most: number) => 1 + Math.floor(random() * Math.max(most - 1, 1));
  const offsets = new Set([within(Math.min(chunk.length, 8)), within(chunk.length), ...(continuation > 0 ? [continuation] : [])]);
  const sorted = [...offsets].filter((offset) => offset < chunk.length).sort((a, b) => a - b);
  const parts = [0, ...sorted].map((start, index) => chunk.subarray(start, sorted[index] ?? chunk.length));
  if (random() < 0.05) parts.splice(Math.floor(random() * parts.length), 0, new Uint8Array());
  return parts;
}
