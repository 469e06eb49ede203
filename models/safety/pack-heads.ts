import { hashWord } from '../../layers/safety/heads/features.ts';
import { encodeLinearHeads, headNames } from '../../layers/safety/heads/linear-heads.ts';
import type { Thresholds } from '../../layers/safety/verdict.ts';
import type { TrainedHeads } from './train-heads.ts';

/** Word, weight x idf, idf. */
export type WordList = readonly (readonly [word: string, weight: number, idf: number])[];

/** The word list's score with full precision, for training. */
export function createWordScore(list: WordList): (words: readonly string[]) => number {
  const entries = new Map(list.map(([word, weight, idf]) => [word, { weight, idf }]));
  return (words) => {
    let sum = 0;
    let square = 0;
    for (const word of new Set(words)) {
      const entry = word.length < 2 ? undefined : entries.get(word);
      if (entry === undefined) continue;
      sum += entry.weight;
      square += entry.idf ** 2;
    }
    return square === 0 ? 0 : sum / Math.sqrt(square);
  };
}

/** Rounds weights to int8 and packs them with the word list. */
export function packHeads(name: string, model: TrainedHeads, list: WordList, thresholds: Thresholds, windowPenalty: number): Uint8Array {
  const headCount = headNames.length;
  const scales = headNames.map((_, head) => {
    let largest = 0;
    for (let index = head; index < model.weights.length; index += headCount)
      largest = Math.max(largest, Math.abs(model.weights[index] ?? 0));
    return largest / 127 || 1;
  });
  const weights = new Int8Array(model.weights.length);
  for (let index = 0; index < weights.length; index += 1)
    weights[index] = Math.round((model.weights[index] ?? 0) / (scales[index % headCount] ?? 1));
  const byHash = new Map(list.map((entry) => [hashWord(entry[0]), entry]));
  const words = [...byHash.entries()].sort(([a], [b]) => a - b);
  const wordScale = Math.max(...words.map(([, [, weight]]) => Math.abs(weight))) / 127;
  const idfScale = Math.max(...words.map(([, [, , idf]]) => idf)) / 255;
  return encodeLinearHeads(
    {
      name,
      bucketCount: model.bucketCount,
      heads: headNames.map((head, index) => ({
        name: head,
        scale: scales[index] ?? 1,
        bias: model.biases[index] ?? 0,
        wordListWeight: model.wordListWeights[index] ?? 0,
      })),
      windowPenalty,
      thresholds: { ...thresholds },
      wordCount: words.length,
      wordScale,
      idfScale,
    },
    weights,
    {
      hashes: Uint32Array.from(words, ([hash]) => hash),
      weights: Int8Array.from(words, ([, [, weight]]) => Math.round(weight / wordScale)),
      idfs: Uint8Array.from(words, ([, [, , idf]]) => Math.round(idf / idfScale)),
    },
  );
}
