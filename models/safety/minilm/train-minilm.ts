/**
 * Trains the heads over MiniLM and asks one of them about single words: `npm run train:safety:minilm -- --model FOLDER [--folds]`, where FOLDER
 * holds the model's `model.onnx` and `tokenizer.json`. Embeddings are kept in the cache. With `--folds` it prints the figures of five folds and
 * writes nothing.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type MinilmHead, minilmCategories } from '../../../layers/safety/minilm-reviewer.ts';
import { type Example, readExamples } from '../examples.ts';
import { formatFolds } from '../metrics.ts';
import { collectVocabulary, requestFor } from '../request-words.ts';
import { embedAll, isChosen } from './embedded-examples.ts';
import { minilmFolds } from './minilm-folds.ts';
import { trainMinilmHead } from './train-minilm-head.ts';

const { values } = parseArgs({
  options: { cache: { type: 'string', default: '.cache/safety' }, model: { type: 'string' }, folds: { type: 'boolean', default: false } },
});

const examples = await readExamples(`${values.cache}/examples.jsonl`);
const embedded = await embedAll(examples.filter(isChosen), values.cache, values.model);
if (values.folds) {
  for (const [source, category] of [
    ['hatecheck', 'hate'],
    ['openai-moderation', 'hate'],
    ['advbench', 'illicit'],
  ] as const)
    process.stdout.write(`${category} on ${source}, five folds: AUC ${formatFolds(minilmFolds(embedded, source, category))}\n`);
} else {
  const heads = minilmCategories.map((category) => trainMinilmHead(embedded, category));
  await writeFile(new URL('../weights/minilm-heads.jsonl', import.meta.url), heads.map((head) => `${JSON.stringify(head)}\n`).join(''));
  await writeFile(new URL('request-words.tsv', import.meta.url), await judgeRequestWords(heads));
}

/** What the head of harmful requests thinks of each word; see `request-words.ts`. */
async function judgeRequestWords(heads: readonly MinilmHead[]): Promise<string> {
  const head = heads.find(({ category }) => category === 'illicit');
  const words = collectVocabulary(examples);
  const requests = words.map(
    (word): Example => ({ source: 'request-words', split: 'train', group: '', text: requestFor(word), labels: {} }),
  );
  const lines = (await embedAll(requests, values.cache, values.model)).map(({ embedding }, index) => {
    const logOdds = head?.weights.reduce((sum, weight, unit) => sum + weight * (embedding[unit] ?? 0), head.bias) ?? 0;
    return `${words[index]}\t${logOdds.toFixed(1)}\n`;
  });
  return lines.join('');
}
