import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningPenstock, startPenstock } from '../support/start-penstock.ts';
import { ENGINE_FIXTURES } from '../support/tiny-model.ts';

let penstock: RunningPenstock | undefined;
let cache: string;
let client: OpenAI;

beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'penstock-cache-'));
  penstock = await startPenstock(['--no-embeddings', '--model', join(ENGINE_FIXTURES, 'tiny-q4_1.gguf')], { PENSTOCK_CACHE: cache });
  client = new OpenAI({ baseURL: penstock.url, apiKey: 'sk-local', maxRetries: 0 });
});
afterAll(async () => {
  await penstock?.stop();
  await rm(cache, { recursive: true, force: true });
});

describe("a user's own GGUF file through the whole stack", () => {
  it('is listed under the name of its file', async () => {
    const ids = (await client.models.list()).data.map(({ id }) => id);
    expect(ids).toContain('tiny-q4_1');
  });

  it('is converted and chats through its own tokenizer and template, streamed or whole alike', async () => {
    const request = {
      model: 'tiny-q4_1',
      messages: [{ role: 'user' as const, content: 'Hello' }],
      max_tokens: 12,
      temperature: 0,
    };
    const whole = await client.chat.completions.create(request);
    // By hand from the file's template and byte vocabulary: <|im_start|> user \n Hello <|im_end|> \n <|im_start|> assistant \n
    expect(whole.usage?.prompt_tokens).toBe(1 + 4 + 1 + 5 + 1 + 1 + 1 + 9 + 1);
    expect(whole.usage?.completion_tokens).toBeGreaterThan(0);
    let text = '';
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true }))
      text += chunk.choices[0]?.delta.content ?? '';
    expect(text).toBe(whole.choices[0]?.message.content ?? '');
  });
});
