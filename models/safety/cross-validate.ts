/**
 * Figures on folds of the training sources, the only ones that anything may be chosen by: `npm run train:safety:folds [--cache .cache/safety]`
 * takes some ten minutes.
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { abuseFolds } from './abuse-folds.ts';
import { readExamples } from './examples.ts';
import { formatFolds } from './metrics.ts';
import type { WordList } from './pack-heads.ts';
import { requestFolds } from './request-folds.ts';
import { readRequestWords } from './request-words.ts';

const { values } = parseArgs({ options: { cache: { type: 'string', default: '.cache/safety' } } });
const examples = await readExamples(`${values.cache}/examples.jsonl`);
// The file is written by prepare_training_data.py.
const words = JSON.parse(await readFile(`${values.cache}/profanity-words.json`, 'utf8')) as WordList;
const requestWords = await readRequestWords(new URL('minilm/request-words.tsv', import.meta.url).pathname);

const { any, threats, threatCount } = abuseFolds(examples, words);
process.stdout.write(`OpenAI moderation, any abusive category, five folds: AUC ${formatFolds(any)}\n`);
process.stdout.write(`harassment that threatens (${threatCount}): AUC ${threats.toFixed(3)}\n`);
for (const { held, area } of requestFolds(examples, words, requestWords))
  process.stdout.write(`harmful requests of ${held}, trained without them, against unseen benign prompts: AUC ${area.toFixed(3)}\n`);
