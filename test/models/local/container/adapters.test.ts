import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADAPTER_HEADER, type CompletionAnswer, type InvocationErrorBody } from '../../../../models/invocation.ts';
import { logSumExp } from '../../../support/compare-logits.ts';
import { startTinyContainer, type TinyContainer } from '../../../support/tiny-container.ts';
import { ENGINE_FIXTURES } from '../../../support/tiny-model.ts';

interface AdapterLogits {
  readonly ids: readonly number[];
  readonly logits: Readonly<Record<string, readonly number[]>>;
}
const oracle = JSON.parse(readFileSync(join(ENGINE_FIXTURES, 'adapter-logits.json'), 'utf8')) as AdapterLogits; // written by record.py

describe('LoRA adapters', () => {
  let container: TinyContainer;
  beforeAll(async () => {
    container = await startTinyContainer({}, 'f32');
    for (const name of ['every', 'few'])
      expect((await post('/v1/load_lora_adapter', { lora_name: name, lora_path: `adapter-${name}` })).status).toBe(200);
  });
  afterAll(() => container[Symbol.asyncDispose]());

  const post = (path: string, body: object) =>
    fetch(container.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const complete = async (body: object, adapter?: string) => {
    const response = await container.invoke(
      { prompt: oracle.ids, ...body },
      { headers: adapter === undefined ? {} : { [ADAPTER_HEADER]: adapter } },
    );
    return { status: response.status, answer: (await response.json()) as CompletionAnswer & InvocationErrorBody }; // either, by the status
  };
  const sampled = { temperature: 2, max_tokens: 12, ignore_eos: true, return_token_ids: true };

  it.each(Object.entries(oracle.logits))('computes what the merged weights compute: %s', async (name, logits) => {
    const { answer } = await complete({ max_tokens: 1, temperature: 0, logprobs: 20, return_tokens_as_token_ids: true }, name);
    const logSum = logSumExp(logits);
    const top = Object.entries(answer.choices[0]?.logprobs?.top_logprobs[0] ?? {});
    expect(top.length).toBe(20);
    for (const [token, logprob] of top) {
      expect(logprob).toBeCloseTo((logits[Number(token.replace('token_id:', ''))] ?? Number.NaN) - logSum, 3);
    }
    expect(answer.model).toBe(name);
  });

  it('serves several adapters and the base model in one batch, each as if alone', async () => {
    const asked = [undefined, 'every', 'few', 'every', undefined, 'few'].map((adapter, seed) => ({ adapter, body: { ...sampled, seed } }));
    const together = await Promise.all(asked.map(({ adapter, body }) => complete(body, adapter)));
    const distinct = new Set<string>();
    for (const [i, { adapter, body }] of asked.entries()) {
      const alone = await complete({ ...body, cache_salt: `alone-${i}` }, adapter);
      expect(together[i]?.answer.choices[0]?.token_ids).toEqual(alone.answer.choices[0]?.token_ids);
      distinct.add(JSON.stringify(alone.answer.choices[0]?.token_ids));
    }
    expect(distinct.size).toBeGreaterThan(3);
  });

  it('shares no prefix between adapters', async () => {
    const prompt = Array.from({ length: 130 }, (_, i) => (i * 3) % 256);
    const cached = async (adapter?: string) =>
      (await complete({ ...sampled, prompt }, adapter)).answer.usage.prompt_tokens_details?.cached_tokens;
    expect([await cached('every'), await cached('few'), await cached(), await cached('every')]).toEqual([0, 0, 0, 128]);
  });

  it('knows the names that are loaded, and no others', async () => {
    expect((await complete(sampled, 'nobody')).status).toBe(404);
    expect((await post('/v1/load_lora_adapter', { lora_name: 'every', lora_path: 'adapter-every' })).status).toBe(400);
    expect((await post('/adapters', { name: 'again', src: 'adapter-every' })).status).toBe(200);
    expect((await complete(sampled, 'again')).status).toBe(200);
    expect((await fetch(`${container.url}/adapters/again`, { method: 'DELETE' })).status).toBe(200);
    expect((await complete(sampled, 'again')).status).toBe(404);
    expect((await post('/v1/unload_lora_adapter', { lora_name: 'again' })).status).toBe(404);
  });

  it.each([
    ['a folder without an adapter', { lora_name: 'x', lora_path: 'nothing' }, 400, /adapter_config\.json is missing/],
    ['an adapter that is cut off', { lora_name: 'x', lora_path: 'adapter-damaged' }, 400, /adapter_model\.safetensors cannot be read/],
    ['a path that leads elsewhere', { lora_name: 'x', lora_path: '../../../../etc' }, 403, /loaded from the folder/],
    ['a name that is none', { lora_name: '../x', lora_path: 'adapter-few' }, 400, /needs a name/],
  ])('refuses %s', async (_, body, status, message) => {
    const response = await post('/v1/load_lora_adapter', body);
    expect([response.status, ((await response.json()) as InvocationErrorBody).error.message]).toEqual([
      status,
      expect.stringMatching(message),
    ]); // an error's body
  });
});
