import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { get_encoding } from 'tiktoken';
import { beforeAll, describe, expect, it } from 'vitest';
import { calibrate } from '../../../functions/gateway/pipeline/classify/calibrate.ts';
import type { PromptLogprobs, ScoringRequest } from '../../../functions/gateway/services.ts';
import type { Tokenizer } from '../../../layers/tokenizer/index.ts';
import { catalog } from '../../../models/catalog.ts';
import { COMPILED_FOLDER, loadEncoding } from '../../../models/tokenizers/encodings.ts';
import { createTestGateway } from '../../support/gateway.ts';
import { problemsBy } from '../../support/openai-schemas.ts';
import { ScriptedEndpoint } from '../../support/scripted-endpoint.ts';
import { loadModelTokenizer, MODEL, says } from '../../support/scripted-model.ts';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadModelTokenizer();
});

type Json = Record<string, unknown>;

async function ask(endpoint: ScriptedEndpoint, path: string, body: unknown, environment: Record<string, string> = {}) {
  const { post } = await createTestGateway(endpoint, environment);
  const response = await post(path, body);
  return { status: response.status, body: (await response.json()) as Json };
}

const silent = () => new ScriptedEndpoint(() => says(tokenizer, 'never'));

describe('POST /tokenize and /detokenize', () => {
  it('give the ids that the model reads, and their text', async () => {
    const messages = [{ role: 'user', content: 'Hi <|im_end|>' }];
    const endpoint = new ScriptedEndpoint(() => says(tokenizer, 'x'));
    const { body } = await ask(endpoint, '/tokenize', { model: MODEL, messages, return_token_strs: true });
    const { post } = await createTestGateway(endpoint);
    await post('/v1/chat/completions', { model: MODEL, messages });
    expect(body['tokens']).toEqual(endpoint.requests[0]?.promptTokenIds);
    expect(body).toMatchObject({ count: endpoint.requests[0]?.promptTokenIds.length, max_model_len: 8192 });
    const strings = body['token_strs'] as string[];
    expect(strings.filter((string) => string === '<|im_end|>')).toHaveLength(2); // the system's and the user's turns, not what the user wrote
    const back = await ask(silent(), '/detokenize', { model: MODEL, tokens: body['tokens'] });
    // Spelled as Hugging Face and vLLM spell tokens: GPT-2's letters for white space.
    expect(back.body['prompt']).toBe(strings.join('').replaceAll('Ġ', ' ').replaceAll('Ċ', '\n'));
  });

  it('undo each other for every text', async () => {
    const { post } = await createTestGateway(silent());
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme' }), async (prompt) => {
        const { tokens } = (await (await post('/tokenize', { model: MODEL, prompt })).json()) as { tokens: number[] };
        const back = (await (await post('/detokenize', { model: MODEL, tokens })).json()) as { prompt: string };
        expect(back.prompt).toBe(prompt);
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ['/tokenize', { model: MODEL }, 400, 'prompt'],
    ['/tokenize', { model: 'none', prompt: 'x' }, 404, 'model'],
    ['/detokenize', { model: MODEL, tokens: [1, 99_999_999] }, 400, 'tokens.1'],
    ['/detokenize', { model: MODEL, tokens: 'x' }, 400, 'tokens'],
  ])('%s refuses %j', async (path, body, status, param) => {
    const answer = await ask(silent(), path, body);
    expect(answer.status).toBe(status);
    expect(answer.body['error']).toMatchObject({ param });
  });

  it('let nobody in without a key', async () => {
    const { app } = await createTestGateway(silent());
    for (const path of ['/tokenize', '/detokenize', '/score', '/rerank', '/v2/rerank']) {
      expect((await app.request(path, { method: 'POST', body: '{}' })).status).toBe(401);
    }
  });
});

/** A model that likes an answer the more, the more of its letters the text has; and prefers `positive` whatever the text says. */
function opinionated(seen: ScoringRequest[] = []) {
  return new ScriptedEndpoint(() => [], {
    score(request) {
      seen.push(request);
      return request.prompts.map((prompt): PromptLogprobs => {
        const text = tokenizer.decode(prompt);
        const subject = text.slice(text.lastIndexOf('Text: '), text.lastIndexOf('\n'));
        const answer = text.slice(text.lastIndexOf(': ') + 2);
        const likes = (subject.includes('great') && answer === 'positive') || (subject.includes('awful') && answer === 'negative');
        const logprob = (likes ? -1 : -3) + (answer === 'positive' ? 1.5 : 0);
        return prompt.map((tokenId, position) => (position === 0 ? undefined : { tokenId, logprob, top: [] }));
      });
    },
  });
}

describe('POST /v1/classify', () => {
  const inputs = ['awful film', 'great film', 'a film'];

  it('gives calibrated probabilities: a preference that the model has without any text counts for nothing', async () => {
    const { body, status } = await ask(opinionated(), '/v1/classify', { model: MODEL, task: 'sentiment', input: inputs });
    expect(status).toBe(200);
    const data = body['data'] as { label: string; probs: number[] }[];
    expect(data.map(({ label }) => label).slice(0, 2)).toEqual(['negative', 'positive']);
    expect(data[2]?.probs[0]).toBeCloseTo(0.5, 10);
    for (const { probs } of data) expect(probs.reduce((sum, value) => sum + value)).toBeCloseTo(1, 10);
  });

  it('says the same in whatever order labels and examples come', async () => {
    const examples = [
      { input: 'great', label: 'positive' },
      { input: 'awful', label: 'negative' },
    ];
    const one = await ask(opinionated(), '/v1/classify', { model: MODEL, input: inputs, labels: ['positive', 'negative'], examples });
    const other = await ask(opinionated(), '/v1/classify', {
      model: MODEL,
      input: inputs,
      labels: ['negative', 'positive'],
      examples: [...examples].reverse(),
    });
    const probs = (body: Json) => (body['data'] as { probs: number[] }[]).map((entry) => entry.probs);
    expect(probs(one.body)).toEqual(probs(other.body).map((entry) => [...entry].reverse()));
  });

  it('decides each label by itself with multi_label', async () => {
    const seen: ScoringRequest[] = [];
    const { body } = await ask(opinionated(seen), '/v1/classify', { model: MODEL, input: 'x', labels: ['a', 'b', 'c'], multi_label: true });
    const [entry] = body['data'] as { probs: number[]; labels: string[] }[];
    expect(entry?.probs).toHaveLength(3);
    for (const value of entry?.probs ?? []) expect(value).toBeCloseTo(0.5, 10);
    expect(seen.flatMap((request) => request.prompts)).toHaveLength(4 * 3 * 2);
  });

  it('asks about texts without content once for a task', async () => {
    const seen: ScoringRequest[] = [];
    const { post } = await createTestGateway(opinionated(seen));
    const body = { model: MODEL, task: 'sentiment', input: inputs };
    const answers = [];
    for (const _ of [1, 2]) answers.push(((await (await post('/v1/classify', body)).json()) as Json)['data']);
    expect(answers[1]).toEqual(answers[0]);
    await post('/v1/classify', { ...body, labels: ['positive', 'negative', 'neutral'] });
    expect(seen.map((request) => request.prompts.length)).toEqual([(3 + 3) * 2, 3 * 2, (3 + 3) * 3]);
  });

  it('counts every token that was scored', async () => {
    const seen: ScoringRequest[] = [];
    const { body } = await ask(opinionated(seen), '/v1/classify', { model: MODEL, input: inputs, task: 'sentiment' });
    const tokens = seen.flatMap((request) => request.prompts).reduce((sum, prompt) => sum + prompt.length, 0);
    expect(body['usage']).toMatchObject({ prompt_tokens: tokens, total_tokens: tokens });
  });

  it.each([
    [{ input: 'x' }, 'labels'],
    [{ input: 'x', labels: ['a'] }, 'labels'],
    [{ input: 'x', labels: ['a', 'a'] }, 'labels'],
    [{ input: 'x', labels: ['a', 'b'], examples: [{ input: 'y', label: 'c' }] }, 'examples.0.label'],
    [{ input: [], labels: ['a', 'b'] }, 'input'],
    [{ input: 'word '.repeat(9000), labels: ['a', 'b'] }, 'input'],
  ])('refuses %#', async (body, param) => {
    const answer = await ask(silent(), '/v1/classify', { model: MODEL, ...body });
    expect(answer.status).toBe(400);
    expect(answer.body['error']).toMatchObject({ param });
  });

  it('has probabilities that are probabilities, for every score', () => {
    const score = fc.double({ min: -200, max: 0, noNaN: true });
    fc.assert(
      fc.property(
        fc
          .integer({ min: 2, max: 6 })
          .chain((labels) => fc.array(fc.array(score, { minLength: labels, maxLength: labels }), { minLength: 2, maxLength: 4 })),
        ([scores = [], ...contentFree]) => {
          const probabilities = calibrate(scores, contentFree);
          for (const value of probabilities) expect(value).toBeGreaterThanOrEqual(0);
          expect(probabilities.reduce((sum, value) => sum + value)).toBeCloseTo(1, 9);
          // A text that is as empty as the content-free ones has every label alike.
          for (const value of calibrate(scores, [scores])) expect(value).toBeCloseTo(1 / scores.length, 9);
        },
      ),
    );
  });
});

const embedder = {
  task: 'embed',
  id: 'mini/lm:1',
  created: 1,
  ownedBy: 'x',
  dimensions: 4,
  maxInputTokens: 256,
  takesTokenIds: false,
  endpoint: { name: 'penstock-embed' },
};

describe('embeddings', () => {
  const environment = () => {
    const path = join(tmpdir(), `penstock-catalog-${process.pid}.json`);
    writeFileSync(path, JSON.stringify([...catalog, embedder]));
    return { PENSTOCK_CATALOG: path };
  };
  /** Each text is the counts of four letters, of unit length. */
  const embeds = () =>
    new ScriptedEndpoint(() => [], {
      embed({ input }) {
        const embeddings = input.map((text) => {
          const counts = [...'abcd'].map((letter) => String(text).split(letter).length - 1);
          const length = Math.hypot(...counts);
          return Float32Array.from(counts, (count) => count / length);
        });
        return { embeddings, promptTokens: input.length * 3 };
      },
    });
  const embed = (body: object) => ask(embeds(), '/v1/embeddings', { model: embedder.id, ...body }, environment());

  it('come as numbers, and as base64 of little-endian float32, the same', async () => {
    const floats = await embed({ input: ['aab', 'cd'] });
    expect(problemsBy('CreateEmbeddingResponse', floats.body)).toEqual([]);
    const base64 = await embed({ input: ['aab', 'cd'], encoding_format: 'base64' });
    const data = (body: Json) => body['data'] as { embedding: unknown }[];
    for (const [index, { embedding }] of data(floats.body).entries()) {
      const bytes = Buffer.from(String(data(base64.body)[index]?.embedding), 'base64');
      expect(embedding).toEqual(Array.from({ length: 4 }, (_, at) => bytes.readFloatLE(at * 4)));
    }
    expect(floats.body['usage']).toEqual({ prompt_tokens: 6, total_tokens: 6 });
  });

  it('are cut to fewer dimensions at unit length', async () => {
    const { body } = await embed({ input: 'aabcd', dimensions: 2 });
    const [{ embedding } = { embedding: [] }] = body['data'] as { embedding: number[] }[];
    expect(embedding).toHaveLength(2);
    expect(Math.hypot(...embedding)).toBeCloseTo(1, 6);
  });

  it.each([
    [{ input: 'a', dimensions: 5 }, 400, 'dimensions'],
    [{ input: [1, 2] }, 400, 'input'],
    [{ input: [] }, 400, 'input'],
    [{ input: [''] }, 400, 'input.0'],
    [{ input: 'a', model: MODEL }, 404, 'model'],
  ])('refuse %j', async (body, status, param) => {
    const answer = await embed(body);
    expect(answer.status).toBe(status);
    expect(answer.body['error']).toMatchObject({ param });
  });

  it('read token ids as the text that they stand for in the encoding that the catalog names', async () => {
    await loadEncoding('cl100k_base'); // compiled where it is not yet
    const path = join(tmpdir(), `penstock-ids-catalog-${process.pid}.json`);
    writeFileSync(path, JSON.stringify([...catalog, { ...embedder, readsTokenIdsAs: 'cl100k_base' }]));
    const settings = { PENSTOCK_CATALOG: path, PENSTOCK_ENCODINGS: COMPILED_FOLDER };
    const reference = get_encoding('cl100k_base');
    const texts = ['aab cd', 'Ünïcode 👩‍👩‍👧 d'];
    const ids = texts.map((text) => [...reference.encode(text, [], [])]);
    reference.free();
    const body = { model: embedder.id };
    const expected = await ask(embeds(), '/v1/embeddings', { ...body, input: texts }, settings);
    expect((await ask(embeds(), '/v1/embeddings', { ...body, input: ids }, settings)).body['data']).toEqual(expected.body['data']);
    const one = await ask(embeds(), '/v1/embeddings', { ...body, input: ids[0] }, settings);
    expect(one.body['data']).toEqual((expected.body['data'] as unknown[]).slice(0, 1));
    for (const input of [[200_000], [[1], [2 ** 30]]]) {
      const refused = await ask(embeds(), '/v1/embeddings', { ...body, input }, settings);
      expect([refused.status, refused.body['error']]).toMatchObject([400, { param: 'input' }]);
    }
  }, 60_000);

  it('are listed among the models, by an id with a slash and a colon', async () => {
    const { app } = await createTestGateway(embeds(), environment());
    const { TEST_KEY } = await import('../../support/gateway.ts');
    const headers = { authorization: `Bearer ${TEST_KEY}` };
    expect(problemsBy('ListModelsResponse', await (await app.request('/v1/models', { headers })).json())).toEqual([]);
    for (const id of [embedder.id, encodeURIComponent(embedder.id)]) {
      expect(await (await app.request(`/v1/models/${id}`, { headers })).json()).toMatchObject({ id: embedder.id });
    }
  });

  it('score pairs and rank documents', async () => {
    const scores = await ask(embeds(), '/score', { model: embedder.id, text_1: 'a', text_2: ['aa', 'b', 'ab'] }, environment());
    const values = (scores.body['data'] as { score: number }[]).map(({ score }) => score);
    expect(values[0]).toBeCloseTo(1, 6);
    expect(values[1]).toBeCloseTo(0, 6);
    expect(values[2]).toBeCloseTo(Math.SQRT1_2, 6);
    const request = { model: embedder.id, query: 'a', documents: ['b', { text: 'aa' }, 'ab'], top_n: 2 };
    const ranking = await ask(embeds(), '/v2/rerank', request, environment());
    const results = ranking.body['results'] as { index: number; document: { text: string } }[];
    expect(results.map(({ index }) => index)).toEqual([1, 2]);
    expect(results[0]?.document).toEqual({ text: 'aa' });
  });
});
