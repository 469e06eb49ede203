import { beforeAll, describe, expect, it } from 'vitest';
import type { Tokenizer } from '../../../layers/tokenizer/index.ts';
import { createRandom, fuzzText } from './fuzz-text.ts';
import { loadReference, loadVocabulary, type Reference, VOCABULARIES } from './vocabularies.ts';

/** `PENSTOCK_FUZZ_STRINGS=20000 npx vitest run --config test/vitest.config.ts --project unit test/layers/tokenizer/exactness.test.ts` */
const STRINGS = Number(process.env['PENSTOCK_FUZZ_STRINGS'] ?? 3000);
const SEED = Number(process.env['PENSTOCK_FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 32));

describe.each(VOCABULARIES)(`%s against its reference (PENSTOCK_FUZZ_SEED=${SEED}, ${STRINGS} strings)`, (name) => {
  let ours: Tokenizer;
  let reference: Reference;
  beforeAll(async () => {
    ours = await loadVocabulary(name);
    reference = loadReference(name);
  }, 600_000);

  it('encodes and counts every string to the same ids', { timeout: 600_000 }, async () => {
    const random = createRandom(SEED);
    for (let index = 0; index < STRINGS; index++) {
      const text = fuzzText(random);
      const expected = await reference.encodePlain(text);
      const ids = ours.encode(text);
      if (!same(ids, expected)) expect({ text, ids: [...ids] }).toEqual({ text, ids: [...expected] });
      if (index % 8 === 0) expect(ours.count(text)).toBe(expected.length);
    }
  });

  it('encodes control tokens in text to the same ids when asked to', { timeout: 600_000 }, async () => {
    const random = createRandom(SEED + 1);
    for (let index = 0; index < STRINGS / 10; index++) {
      const contents = ours.controlTokens;
      const text = `${fuzzText(random)}${contents[Math.floor(random() * contents.length)]}${fuzzText(random)}`;
      const ids = ours.encodeWithSpecialTokens(text, { addSpecialTokens: false });
      expect({ text, ids: [...ids] }).toEqual({ text, ids: [...(await reference.encodeSpecial(text))] });
    }
  });

  it('decodes any ids to the same text, with special tokens and without', { timeout: 600_000 }, async () => {
    const random = createRandom(SEED + 2);
    const known = Array.from({ length: ours.vocabularySize }, (_, id) => id).filter((id) => isKnown(ours, id));
    for (let index = 0; index < STRINGS / 10; index++) {
      const ids = Array.from({ length: 1 + Math.floor(random() * 12) }, () => known[Math.floor(random() * known.length)] ?? 0);
      expect(ours.decode(ids)).toBe(await reference.decode(ids, false));
      if (!name.endsWith('_base')) expect(ours.decode(ids, { skipSpecialTokens: true })).toBe(await reference.decode(ids, true));
    }
  });
});

function same(left: Uint32Array, right: readonly number[]): boolean {
  return left.length === right.length && left.every((id, index) => id === right[index]);
}

function isKnown(tokenizer: Tokenizer, id: number): boolean {
  try {
    return tokenizer.tokenBytes(id).length > 0;
  } catch {
    return false;
  }
}
