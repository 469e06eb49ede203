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

/** About one cut for each event of a stream. */
const BYTES_PER_CUT = 200;

/** The chunk's parts in order: cut inside its first word, inside characters of several bytes, and at random. Now and then an empty part is among them. */
export function cutHostile(chunk: Uint8Array, random: () => number): Uint8Array[] {
  const within = (most: number) => 1 + Math.floor(random() * Math.max(most - 1, 1));
  const offsets = new Set([within(Math.min(chunk.length, 8)), ...insideCharacters(chunk, random)]);
  for (let bytes = 0; bytes < chunk.length; bytes += BYTES_PER_CUT) offsets.add(within(chunk.length));
  const sorted = [...offsets].filter((offset) => offset < chunk.length).sort((a, b) => a - b);
  const parts = [0, ...sorted].map((start, index) => chunk.subarray(start, sorted[index] ?? chunk.length));
  if (random() < 0.05) parts.splice(Math.floor(random() * parts.length), 0, new Uint8Array());
  return parts;
}

/** The first UTF-8 continuation byte always, each other one perhaps. */
function insideCharacters(chunk: Uint8Array, random: () => number): number[] {
  const offsets: number[] = [];
  for (let offset = 1; offset < chunk.length; offset += 1) {
    const isContinuation = ((chunk[offset] ?? 0) & 0xc0) === 0x80;
    if (isContinuation && (offsets.length === 0 || random() < 0.5)) offsets.push(offset);
  }
  return offsets;
}
