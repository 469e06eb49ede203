/** What the abuse heads reach on texts of OpenAI's moderation set that they have not seen: each fold is judged by heads trained without it. */
import { hashWord } from '../../layers/safety/heads/features.ts';
import { createSafetyFilter, loadLinearHeads, moderationCategories, parseSafetyPolicy } from '../../layers/safety/index.ts';
import type { Example } from './examples.ts';
import { areaUnderCurve, type Scored } from './metrics.ts';
import { createWordScore, packHeads, type WordList } from './pack-heads.ts';
import { sourceWeight } from './source-weights.ts';
import { trainHeads } from './train-heads.ts';

const useful = new Set([
  'openai-moderation',
  'davidson',
  'hatecheck',
  'benign-prompts',
  'novel',
  's-labs-train',
  'wikipedia',
  'neuralchemy-train',
]);
const abusive = moderationCategories.filter((category) => !category.startsWith('illicit'));

export interface AbuseFolds {
  /** Area of each fold: any abusive category against none. */
  readonly any: readonly number[];
  /**
   * Area of `harassment/threatening` over all folds together. The set has no such label: texts that are labelled as harassment and as violence or
   * threatening hate stand for it, which is what OpenAI's definition of the category says.
   */
  readonly threats: number;
  readonly threatCount: number;
}

export function abuseFolds(examples: readonly Example[], words: WordList): AbuseFolds {
  const used = examples.filter((example) => example.split === 'train' && useful.has(example.source));
  const threats: Scored[] = [];
  const any = [0, 1, 2, 3, 4].map((fold) => {
    const isHeld = ({ source, text }: Example) => source === 'openai-moderation' && hashWord(text) % 5 === fold;
    const model = trainHeads(
      used.filter((example) => !isHeld(example)),
      {
        bucketCount: 2 ** 16,
        epochs: 6,
        learningRate: 0.3,
        decay: 1e-6,
        seed: 1,
        weightOf: sourceWeight,
        wordScore: createWordScore(words),
        mostWindows: 60,
      },
    );
    const classifier = loadLinearHeads(packHeads('fold', model, words, {}, 0));
    const filter = createSafetyFilter(parseSafetyPolicy({}), { classifier });
    const scored: Scored[] = [];
    for (const { text, labels } of used.filter((example) => isHeld(example) && example.labels.abuse !== undefined)) {
      const { scores } = filter.check(text, 'input').verdict;
      scored.push({ score: Math.max(...abusive.map((category) => scores[category] ?? 0)), isBad: labels.abuse === 1 });
      const isThreat = labels.harassment === 1 && (labels.violence === 1 || labels['hate/threatening'] === 1);
      threats.push({ score: scores['harassment/threatening'] ?? 0, isBad: isThreat });
    }
    return areaUnderCurve(scored);
  });
  return { any, threats: areaUnderCurve(threats), threatCount: threats.filter(({ isBad }) => isBad).length };
}
