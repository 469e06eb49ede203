/** NaN when the lengths differ or a value is missing, so that every comparison with it fails. */
export function greatestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.NaN;
  return Array.from(a).reduce((greatest, value, i) => Math.max(greatest, Math.abs(value - (b[i] ?? Number.NaN))), 0);
}

export function logSumExp(logits: ArrayLike<number>): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) top = Math.max(top, logits[i] ?? Number.NaN);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp((logits[i] ?? Number.NaN) - top);
  return top + Math.log(sum);
}

/** Kullback-Leibler divergence of the second distribution from the first, in nats. */
export function divergence(expected: ArrayLike<number>, actual: ArrayLike<number>): number {
  const expectedSum = logSumExp(expected);
  const actualSum = logSumExp(actual);
  let sum = 0;
  for (let id = 0; id < expected.length; id++) {
    const logShare = (expected[id] ?? Number.NaN) - expectedSum;
    sum += Math.exp(logShare) * (logShare - ((actual[id] ?? Number.NaN) - actualSum));
  }
  return sum;
}
