import { hashWord } from '../../../layers/safety/heads/features.ts';
import { areaUnderCurve } from '../metrics.ts';
import type { Embedded } from './embedded-examples.ts';
import { trainMinilmHead } from './train-minilm-head.ts';

/** Areas of five folds, each by a head that was trained without the fold; HateCheck is cut by its templates. */
export function minilmFolds(embedded: readonly Embedded[], source: string, category: 'hate' | 'illicit'): number[] {
  return [0, 1, 2, 3, 4].map((fold) => {
    const isHeld = ({ example }: Embedded) => hashWord(example.group === '' ? example.text : example.group) % 5 === fold;
    const { bias, weights } = trainMinilmHead(
      embedded.filter((row) => !isHeld(row)),
      category,
    );
    const isTested = ({ example }: Embedded) =>
      example.source === source || (category === 'illicit' && example.source === 'benign-prompts');
    return areaUnderCurve(
      embedded
        .filter((row) => isHeld(row) && isTested(row) && row.example.labels[category] !== undefined)
        .map(({ example, embedding }) => ({
          score: weights.reduce((sum, weight, unit) => sum + weight * (embedding[unit] ?? 0), bias),
          isBad: example.labels[category] === 1,
        })),
    );
  });
}
