/** How far the served graph is from the exact one, in nats, over the recorded prompts and texts that nothing was fitted to. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadTokenizer } from '../../../layers/tokenizer/index.ts';
import { MODEL_FILES } from '../../../models/local/convert/model-folder.ts';
import { Decoder } from '../../../models/local/engine/decoder.ts';
import { divergence } from '../../support/compare-logits.ts';
import { computeLogitsWith } from '../../support/compute-logits.ts';
import { openRealModel } from '../../support/real-model.ts';
import { ENGINE_FIXTURES } from '../../support/tiny-model.ts';

const TEXTS = [
  'The old lighthouse keeper had not spoken to anyone in three weeks when the storm came in from the north. He trimmed the lamp, set the kettle on the stove, and wrote in the log that the barometer had fallen again. Outside, the gulls had gone quiet. By midnight the waves were breaking over the lower steps, and he could hear the stones shifting in the dark like teeth.',
  'Photosynthesis is the process by which plants, algae and some bacteria turn light into chemical energy. Chlorophyll in the thylakoid membranes absorbs mostly red and blue light; the energy splits water, releases oxygen and drives electrons along a chain that pumps protons. The resulting gradient makes ATP, which the Calvin cycle then uses to fix carbon dioxide into sugar.',
  'import { createHash } from "node:crypto";\nexport function digest(parts: readonly string[]): string {\n  const hash = createHash("sha256");\n  for (const part of parts) hash.update(part).update("\\0");\n  return hash.digest("hex");\n}\n',
  'Invoice 2024-1187\nHours: 37.5 at 82.00 = 3,075.00\nTravel: 214.60\nSubtotal: 3,289.60\nVAT 19 %: 625.02\nTotal: 3,914.62\nPayable within 14 days to the account named below, quoting the number of the invoice.',
];

export async function meanDivergence(): Promise<{ prompts: number; texts: number; rows: number }> {
  const [exact, fast] = await Promise.all([openRealModel('exact'), openRealModel('fast')]);
  const tokenizer = loadTokenizer(await readFile(join(exact.path, MODEL_FILES.vocabulary)));
  const prompts = JSON.parse(await readFile(join(ENGINE_FIXTURES, 'prompts.json'), 'utf8')) as number[][]; // lists of token ids
  const licence = (await readFile(new URL('../../../LICENSE', import.meta.url), 'utf8')).slice(0, 900);
  const texts = [...TEXTS, licence].map((text) => [...tokenizer.encode(text)]);
  const [exactly, fastly] = await Promise.all([Decoder.load(exact, { threads: 2 }), Decoder.load(fast, { threads: 2 })]);
  const of = async (sequences: readonly (readonly number[])[]) => {
    const values: number[] = [];
    for (const ids of sequences) {
      const expected = await computeLogitsWith(exactly, ids, 64);
      const rows = await computeLogitsWith(fastly, ids, 64);
      values.push(...expected.map((row, i) => divergence(row, rows[i] ?? [])));
    }
    return { mean: values.reduce((sum, value) => sum + value, 0) / values.length, rows: values.length };
  };
  const ofPrompts = await of(prompts);
  const ofTexts = await of(texts);
  await Promise.all([exactly.dispose(), fastly.dispose()]);
  return { prompts: ofPrompts.mean, texts: ofTexts.mean, rows: ofPrompts.rows + ofTexts.rows };
}
