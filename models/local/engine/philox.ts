/**
 * Philox4x32-10, a counter-based random generator (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): the draw is a
 * pure function of key and counter. Keyed by (seed, position), a continuation draws what the uninterrupted run would have drawn.
 */
const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

export type Words4 = readonly [number, number, number, number];

/** Ten rounds; all words are unsigned 32 bit. */
export function philox4x32(counter: Words4, key: readonly [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(M0, c0);
    const low0 = Math.imul(M0, c0) >>> 0;
    const high1 = multiplyHigh(M1, c2);
    const low1 = Math.imul(M1, c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + W0) >>> 0;
    k1 = (k1 + W1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** A number in [0, 1) with 53 random bits, decided by seed and position alone. */
export function drawAt(seed: bigint, position: number): number {
  const key = BigInt.asUintN(64, seed);
  const [a, b] = philox4x32([position >>> 0, Math.floor(position / 2 ** 32), 0, 0], [Number(key & 0xffffffffn), Number(key >> 32n)]);
  return ((a >>> 5) * 2 ** 26 + (b >>> 6)) / 2 ** 53;
}

/** The upper 32 bits of the product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  return (a1 * b1 + Math.floor(middle / 0x10000) + (((middle & 0xffff) + a0 * b1) >>> 16)) >>> 0;
}
