/**
 * What the abuse heads reach on data they have not seen: five folds over the labelled half of OpenAI's moderation set, each time trained without the
 * fold. `node models/safety/cross-validate.ts [--cache .cache/safety]` takes some five minutes.
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { hashWord } from '../../layers/safety/heads/features.ts';
import { createSafetyFilter, loadLinearHeads, moderationCategories, parseSafetyPolicy } from '../../layers/safety/index.ts';
import { readExamples } from './examples.ts';
import { areaUnderCurve, type Scored } from './metrics.ts';
import { createWordScore, packHeads, type WordList } from './pack-heads.ts';
import { sourceWeight } from './source-weights.ts';
import { trainHeads } from './train-heads.ts';

const { values } = parseArgs({ options: { cache: { type: 'string', default: '.cache/safety' } } });
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
const examples = (await readExamples(`${values.cache}/examples.jsonl`)).filter(
  (example) => example.split === 'train' && useful.has(example.source),
);
// The file is written by prepare_training_data.py.
const words = JSON.parse(await readFile(`${values.cache}/profanity-words.json`, 'utf8')) as WordList;
const abusive = moderationCategories.filter((category) => !category.startsWith('illicit'));

const areas: number[] = [];
for (let fold = 0; fold < 5; fold += 1) {
  const isHeld = (text: string) => hashWord(text) % 5 === fold;
  const model = trainHeads(
    examples.filter((example) => example.source !== 'openai-moderation' || !isHeld(example.text)),
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
  const filter = createSafetyFilter(parseSafetyPolicy({}), { classifier: loadLinearHeads(packHeads('fold', model, words, {}, 0)) });
  const scored: Scored[] = examples
    .filter((example) => example.source === 'openai-moderation' && isHeld(example.text) && example.labels.abuse !== undefined)
    .map((example) => {
      const { scores } = filter.check(example.text, 'input').verdict;
      return { score: Math.max(...abusive.map((category) => scores[category] ?? 0)), isBad: example.labels.abuse === 1 };
    });
  areas.push(areaUnderCurve(scored));
  process.stdout.write(`fold ${fold + 1}: ${scored.length} texts, any abusive category AUC ${areas.at(-1)?.toFixed(3)}\n`);
}
process.stdout.write(`mean AUC ${(areas.reduce((sum, area) => sum + area, 0) / areas.length).toFixed(3)}\n`);
