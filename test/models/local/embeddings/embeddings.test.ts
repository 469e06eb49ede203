import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EmbeddingAnswer, InvocationErrorBody } from '../../../../models/invocation.ts';
import { Embedder } from '../../../../models/local/embeddings/embedder.ts';
import { greatestDifference } from '../../../support/compare-logits.ts';
import { startTinyContainer, type TinyContainer } from '../../../support/tiny-container.ts';
import { ENGINE_FIXTURES } from '../../../support/tiny-model.ts';

interface RecordedText {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly vector: readonly number[];
  /** The first four components at unit length. */
  readonly first4: readonly number[];
}
const FOLDER = join(ENGINE_FIXTURES, 'tiny-embedding');
const recorded = JSON.parse(readFileSync(join(FOLDER, 'vectors.json'), 'utf8')) as RecordedText[]; // written by record_embedding.py

describe('POST /invocations with input', () => {
  let container: TinyContainer;
  beforeAll(async () => {
    container = await startTinyContainer({}, 'mixed', FOLDER);
  });
  afterAll(() => container[Symbol.asyncDispose]());

  const embed = async (body: object) => {
    const response = await container.invoke(body);
    return { status: response.status, answer: (await response.json()) as EmbeddingAnswer & InvocationErrorBody }; // either, by the status
  };

  it('gives the vectors of the reference, at unit length, and counts tokens as the reference does', async () => {
    const { answer } = await embed({ input: recorded.map(({ text }) => text) });
    expect(answer.data.map(({ index }) => index)).toEqual([...recorded.keys()]);
    for (const [i, { vector }] of recorded.entries())
      expect(greatestDifference(answer.data[i]?.embedding as number[], vector)).toBeLessThan(1e-5);
    const tokens = recorded.reduce((sum, one) => sum + one.tokens.length, 0);
    expect(answer.usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens, completion_tokens: 0 });
  });

  it('gives the same bytes as base64, for ids, and beside other texts', async () => {
    const [first] = recorded;
    const floats = async (body: object) => {
      const { answer } = await embed({ encoding_format: 'base64', ...body });
      const bytes = Buffer.from(String(answer.data[0]?.embedding), 'base64');
      return [...new Float32Array(new Uint8Array(bytes).buffer)];
    };
    const alone = await floats({ input: first?.text });
    expect(greatestDifference(alone, first?.vector ?? [])).toBeLessThan(1e-5);
    expect(await floats({ input: first?.tokens })).toEqual(alone);
    expect(await floats({ input: [first?.text, recorded[2]?.text] })).toEqual(alone);
  });

  it('cuts to fewer dimensions at unit length, and refuses more than there are', async () => {
    const { answer } = await embed({ input: recorded[1]?.text, dimensions: 4 });
    expect(greatestDifference(answer.data[0]?.embedding as number[], recorded[1]?.first4 ?? [])).toBeLessThan(1e-5);
    expect((await embed({ input: 'sea', dimensions: 9 })).answer.error).toMatchObject({ code: 400, param: 'dimensions' });
  });

  it('refuses a text that is too long instead of cutting it', async () => {
    const { status, answer } = await embed({ input: 'sea '.repeat(300) });
    expect([status, answer.error.param]).toEqual([400, 'input']);
    expect(answer.error.message).toContain('302');
  });
});

describe('Embedder', () => {
  it('says that a folder holds no model', async () => {
    await expect(Embedder.load('/nowhere', 1)).rejects.toThrow('/nowhere holds no embedding model');
  });
});
