/**
 * Which sequences are computed together. All sequences of one call of the graph have caches of one length laid out, so that short ones pay
 * for a long one beside them; another call reads all weights once more. Costs are counted in positions: a sequence costs as many as are
 * laid out for it, a call as many as take the same time.
 */
import type { ModelConfig } from '../gguf/model-config.ts';

/** Of one sequence: by what it is known, and how many positions must be laid out for it. */
export interface Need {
  readonly id: string;
  readonly positions: number;
}

/** A weight of 4 bits with its scale and offset, as onnxruntime packs it. */
const BYTES_PER_WEIGHT = 0.75;
/**
 * A cached value is read as float16, and as float32 from what is partly the processor's own memory. Measured on SmolLM2, where a call then costs
 * 1,880 positions: eight short sequences beside one of 320 or 512 take as long in one call as in two, beside one of 700 a fifth longer.
 */
const BYTES_PER_CACHED_VALUE = 5;

/** How many positions a call of the graph costs: memory that its weights fill against what is moved for a position. */
export function positionsOfCall(config: ModelConfig): number {
  const { blocks, hiddenSize, feedForwardSize, heads, kvHeads, headSize, vocabularySize } = config;
  const attention = hiddenSize * (2 * heads + 2 * kvHeads) * headSize;
  const weights = blocks * (attention + 3 * hiddenSize * feedForwardSize) + vocabularySize * hiddenSize;
  return Math.round((weights * BYTES_PER_WEIGHT) / (2 * blocks * kvHeads * headSize * BYTES_PER_CACHED_VALUE));
}

/** Of one step in which each group is a call. */
export function costOf(groups: readonly (readonly Need[])[], callCost: number): number {
  return groups.reduce((sum, group) => sum + callCost + group.length * Math.max(...group.map(({ positions }) => positions)), 0);
}

/** The cheapest groups, those with the longest sequences first. A group's needs lie side by side when sorted, or exchanging two would be cheaper. */
export function groupSequences(needs: readonly Need[], callCost: number): Need[][] {
  const sorted = needs.toSorted((a, b) => b.positions - a.positions);
  // cheapest[n]: the cost of the first n, and where their last group begins.
  const cheapest: { readonly cost: number; readonly from: number }[] = [{ cost: 0, from: 0 }];
  for (let end = 1; end <= sorted.length; end++) {
    let best = { cost: Number.POSITIVE_INFINITY, from: 0 };
    for (let from = 0; from < end; from++) {
      const cost = (cheapest[from]?.cost ?? 0) + callCost + (end - from) * (sorted[from]?.positions ?? 0);
      if (cost < best.cost) best = { cost, from };
    }
    cheapest.push(best);
  }
  const groups: Need[][] = [];
  for (let end = sorted.length; end > 0; end = cheapest[end]?.from ?? 0) groups.unshift(sorted.slice(cheapest[end]?.from, end));
  return groups;
}
