/**
 * Trains the linear heads: `npm run train:safety`, after `prepare_training_data.py` has collected the examples. Prints the digest of what it wrote:
 * the same examples give the same bytes.
 */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { readExamples } from './examples.ts';
import type { WordList } from './pack-heads.ts';
import { readRequestWords } from './request-words.ts';
import { trainLinearHeads } from './train-linear-heads.ts';

const { values } = parseArgs({
  options: {
    cache: { type: 'string', default: '.cache/safety' },
    output: { type: 'string', default: new URL('weights/linear-heads.bin', import.meta.url).pathname },
    'request-words': { type: 'string', default: new URL('minilm/request-words.tsv', import.meta.url).pathname },
  },
});

const { bytes, chosen } = trainLinearHeads({
  examples: (await readExamples(`${values.cache}/examples.jsonl`)).filter((example) => example.split === 'train'),
  // The file is written by prepare_training_data.py.
  words: JSON.parse(await readFile(`${values.cache}/profanity-words.json`, 'utf8')) as WordList,
  requestWords: await readRequestWords(values['request-words']),
});
await writeFile(values.output, bytes);
const digest = createHash('sha256').update(bytes).digest('hex');
process.stdout.write(`${JSON.stringify(chosen, undefined, 2)}\n${bytes.length} bytes in ${values.output}\nsha256 ${digest}\n`);
