import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeBertTokenizer } from '../../../../models/local/embeddings/default-model.ts';
import { Embedder } from '../../../../models/local/embeddings/embedder.ts';
import { fetchEmbeddings } from '../../../../models/local/prepare-embeddings.ts';
import { readSettings } from '../../../../models/local/settings.ts';
import { ENGINE_FIXTURES } from '../../../support/tiny-model.ts';

interface RecordedText {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly vector: readonly number[];
}
/** Written by record_minilm.py from the published weights and tokenizer, in float64. */
const recorded = JSON.parse(readFileSync(join(ENGINE_FIXTURES, 'minilm-vectors.json'), 'utf8')) as RecordedText[];

describe('the tokenizer made of the vocabulary', () => {
  it.each(recorded)("gives Hugging Face's ids: $text", async ({ text, tokens }) => {
    const tokenizer = new Tokenizer(JSON.parse(await describeBertTokenizer()), {});
    expect(tokenizer.encode(text).ids).toEqual(tokens);
  });
});

describe('all-MiniLM-L6-v2 as npm start serves it', () => {
  let embedder: Embedder;
  beforeAll(async () => {
    const settings = readSettings([]);
    if (settings === 'help') throw new Error('no settings');
    await mkdir(settings.cacheFolder, { recursive: true });
    embedder = await Embedder.load(await fetchEmbeddings(settings.cacheFolder, settings.environment, () => undefined), 1);
  }, 180_000);
  afterAll(() => embedder.dispose());

  it.each(recorded)("points where the published model's vectors point: $text", async ({ text, tokens, vector }) => {
    const embedding = await embedder.embed(text);
    expect(embedding.tokens).toBe(tokens.length);
    const cosine = vector.reduce((sum, value, i) => sum + value * (embedding.vector[i] ?? 0), 0);
    expect(cosine).toBeGreaterThan(text === '' ? 0.97 : 0.99); // 8-bit weights and activations, also of processors that round otherwise
  });

  it('tells texts of one meaning from others as the published model does', async () => {
    const vectors = await Promise.all(recorded.slice(0, 6).map(async ({ text }) => (await embedder.embed(text)).vector));
    const likeness = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
    for (let i = 0; i < vectors.length; i++) {
      for (let j = 0; j < i; j++) {
        const expected = likeness(recorded[i]?.vector ?? [], recorded[j]?.vector ?? []);
        expect(likeness(vectors[i] ?? [], vectors[j] ?? [])).toBeCloseTo(expected, 1);
      }
    }
  });
});
