/**
 * Picks the next token from one row of logits. Order of the steps as in vLLM: bias, allowed tokens, penalties, temperature, min_p,
 * top_k, top_p, then one draw that (seed, position) decides. Tokens are walked in order of their ids, so that equal logits give equal
 * tokens whatever the batch was.
 */
import { drawAt } from './philox.ts';

export interface SamplingParameters {
  /** 0 takes the likeliest token. */
  readonly temperature: number;
  readonly topP: number;
  /** 0 means all tokens. */
  readonly topK: number;
  readonly minP: number;
  readonly seed: bigint;
  readonly repetitionPenalty: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  readonly logitBias: ReadonlyMap<number, number>;
  readonly allowedTokenIds: readonly number[] | undefined;
}

export interface TokenLogprob {
  readonly tokenId: number;
  readonly logprob: number;
  /** 1 for the likeliest. */
  readonly rank: number;
}

/** Natural logarithm of the smallest share that is still drawn: all tokens below it together hold less than 5e-9. */
const NEGLIGIBLE = -30;

/** @param history prompt and generated ids; generated ones start at `promptLength`. `row` is changed. */
export function sampleToken(
  row: Float32Array,
  parameters: SamplingParameters,
  history: readonly number[],
  promptLength: number,
  banned: readonly number[] = [],
): number {
  adjustLogits(row, parameters, history, promptLength, banned);
  const { temperature, seed } = parameters;
  if (temperature < 1e-5) return likeliest(row);
  const candidates = findCandidates(row, parameters);
  const target = drawAt(seed, history.length) * candidates.total;
  let sum = 0;
  for (const [i, share] of candidates.shares.entries()) {
    sum += share;
    if (sum > target) return candidates.ids[i] ?? 0;
  }
  return candidates.ids.at(-1) ?? 0; // rounding left the sum just below the total
}

/** The lowest id among the likeliest. */
function likeliest(row: Float32Array): number {
  let best = 0;
  let bestLogit = row[0] ?? Number.NEGATIVE_INFINITY;
  for (let id = 1; id < row.length; id++) {
    const logit = row[id] as number; // within the row's length
    if (logit > bestLogit) {
      best = id;
      bestLogit = logit;
    }
  }
  return best;
}

function adjustLogits(
  row: Float32Array,
  parameters: SamplingParameters,
  history: readonly number[],
  promptLength: number,
  banned: readonly number[],
): void {
  const { logitBias, allowedTokenIds, repetitionPenalty, frequencyPenalty, presencePenalty } = parameters;
  for (const [id, bias] of logitBias) if (id < row.length) row[id] = (row[id] ?? 0) + bias;
  if (allowedTokenIds !== undefined) {
    const kept = allowedTokenIds.filter((id) => id < row.length).map((id) => [id, row[id] ?? 0] as const);
    row.fill(Number.NEGATIVE_INFINITY);
    for (const [id, logit] of kept) row[id] = logit;
  }
  for (const id of banned) row[id] = Number.NEGATIVE_INFINITY;
  if (repetitionPenalty !== 1) {
    for (const id of new Set(history)) {
      const logit = row[id] ?? 0;
      row[id] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    }
  }
  if (frequencyPenalty === 0 && presencePenalty === 0) return;
  const counts = new Map<number, number>();
  for (let i = promptLength; i < history.length; i++) counts.set(history[i] ?? 0, (counts.get(history[i] ?? 0) ?? 0) + 1);
  for (const [id, count] of counts) row[id] = (row[id] ?? 0) - frequencyPenalty * count - presencePenalty;
}

interface Candidates {
  /** Ascending. */
  readonly ids: readonly number[];
  /** In proportion to the probabilities. */
  readonly shares: readonly number[];
  readonly total: number;
}

function findCandidates(row: Float32Array, { temperature, topP, topK, minP }: SamplingParameters): Candidates {
  const top = row[likeliest(row)] ?? 0;
  const floor = Math.max(NEGLIGIBLE, minP > 0 ? Math.log(minP) : NEGLIGIBLE);
  let ids: number[] = [];
  let shares: number[] = [];
  let total = 0;
  for (let id = 0; id < row.length; id++) {
    const exponent = ((row[id] as number) - top) / temperature; // within the row's length
    if (!(exponent >= floor)) continue; // also what is no number: such a token is never drawn
    const share = Math.exp(exponent);
    ids.push(id);
    shares.push(share);
    total += share;
  }
  if (topK > 0 && topK < ids.length) {
    const threshold = shares.toSorted((a, b) => b - a)[topK - 1] ?? 0;
    [ids, shares, total] = keep(ids, shares, threshold, topK);
  }
  if (topP < 1) {
    const least = ((1 - topP) * total) / ids.length; // all tokens below it together hold less than 1 - topP
    const sorted = shares.filter((share) => share >= least).sort((a, b) => b - a);
    let sum = 0;
    const count = sorted.findIndex((share) => {
      sum += share;
      return sum >= topP * total;
    });
    const size = count < 0 ? sorted.length : count + 1;
    [ids, shares, total] = keep(ids, shares, sorted[size - 1] ?? 0, size);
  }
  return { ids, shares, total };
}

/** The `count` greatest shares, of which `threshold` is the least; among equal ones the lower ids. */
function keep(ids: readonly number[], shares: readonly number[], threshold: number, count: number): [number[], number[], number] {
  const above = shares.reduce((sum, share) => sum + Number(share > threshold), 0);
  let equalLeft = count - above;
  const keptIds: number[] = [];
  const keptShares: number[] = [];
  let total = 0;
  for (const [i, share] of shares.entries()) {
    if (share < threshold || (share === threshold && equalLeft-- <= 0)) continue;
    keptIds.push(ids[i] ?? 0);
    keptShares.push(share);
    total += share;
  }
  return [keptIds, keptShares, total];
}

/** Log-probabilities of the model itself, before temperature and penalties: of `tokenId`, and of the `count` likeliest tokens. */
export function readLogprobs(row: Float32Array, tokenId: number, count: number): { sampled: TokenLogprob; top: TokenLogprob[] } {
  const max = row[likeliest(row)] ?? 0;
  let sum = 0;
  let rank = 1;
  const own = row[tokenId] ?? Number.NEGATIVE_INFINITY;
  const best: number[] = [];
  for (let id = 0; id < row.length; id++) {
    const logit = row[id] as number; // within the row's length
    sum += Math.exp(logit - max);
    if (logit > own) rank++;
    if (count === 0) continue;
    if (best.length < count || logit > (row[best.at(-1) ?? 0] ?? 0)) insertByLogit(best, row, id, count);
  }
  const logSum = max + Math.log(sum);
  const top = best.map((id, i) => ({ tokenId: id, logprob: (row[id] ?? 0) - logSum, rank: i + 1 }));
  return { sampled: { tokenId, logprob: own - logSum, rank }, top };
}

function insertByLogit(best: number[], row: Float32Array, id: number, count: number): void {
  const logit = row[id] ?? 0;
  let at = best.length;
  while (at > 0 && (row[best[at - 1] ?? 0] ?? 0) < logit) at--;
  best.splice(at, 0, id);
  if (best.length > count) best.pop();
}
