/** The weights file of the linear heads from examples. Deterministic: the same examples give the same bytes. */
import { hashWord } from '../../layers/safety/heads/features.ts';
import { type ChosenThresholds, chooseThresholds } from './choose-thresholds.ts';
import type { Example } from './examples.ts';
import { createWordScore, packHeads, type WordList } from './pack-heads.ts';
import { rephrase } from './rephrase.ts';
import { type RequestWords, requestExamples } from './request-words.ts';
import { sourceWeight } from './source-weights.ts';
import { trainHeads } from './train-heads.ts';

const rephrased = new Set(['advbench', 'harmbench', 'benign-prompts', 's-labs-train']);

export interface WordData {
  readonly words: WordList;
  readonly requestWords: RequestWords;
}

export interface TrainingData extends WordData {
  /** Of the training sources only. */
  readonly examples: readonly Example[];
}

/** First a model is trained without a fifth of the sources' groups, to choose the thresholds on them; then one on everything. */
export function trainLinearHeads(data: TrainingData): { bytes: Uint8Array; chosen: ChosenThresholds } {
  const chosen = chooseThresholds(
    trainModel(
      data.examples.filter((example) => !isHeldOut(example)),
      data,
      { thresholds: {}, windowPenalty: 0 },
    ),
    data.examples.filter(isHeldOut),
  );
  return { bytes: trainModel(data.examples, data, chosen), chosen };
}

/** By group, where the texts of a group are alike; neuralchemy's groups are kinds of attacks, and all of its harmless texts are one. */
function isHeldOut({ source, group, text }: Example): boolean {
  return hashWord(group === '' || source.startsWith('neuralchemy') ? text : `${source}/${group}`) % 5 === 0;
}

export function trainModel(examples: readonly Example[], { words, requestWords }: WordData, chosen: ChosenThresholds): Uint8Array {
  const others = examples
    .filter((example) => rephrased.has(example.source) && (example.labels.illicit === 1 || example.labels.prompt_injection === 0))
    .flatMap(rephrase);
  const model = trainHeads([...examples, ...others, ...requestExamples(requestWords)], {
    bucketCount: 2 ** 17,
    epochs: 6,
    learningRate: 0.3,
    decay: 1e-6,
    seed: 8,
    weightOf: sourceWeight,
    wordScore: createWordScore(words),
    mostWindows: 60,
  });
  return packHeads('linear-heads', model, words, chosen.thresholds, chosen.windowPenalty);
}
