import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChatCompletion } from 'openai/resources/chat/completions';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFolderTokenizerFiles } from '../../../functions/drivers/folder-tokenizer-files.ts';
import { loadConfig } from '../../../functions/gateway/config.ts';
import type { EndpointEvent } from '../../../functions/gateway/services.ts';
import { loadTokenizer, type Tokenizer } from '../../../layers/tokenizer/index.ts';
import { createTestGateway, readEvents } from '../../support/gateway.ts';
import { readJson } from '../../support/read-json.ts';
import { ScriptedEndpoint } from '../../support/scripted-endpoint.ts';

const MODEL = 'smollm2-135m-instruct';
const hello = { model: MODEL, messages: [{ role: 'user', content: 'Hi' }] };
let tokenizer: Tokenizer;
let folder: string;

beforeAll(async () => {
  const { tokenizersFolder } = loadConfig({ PENSTOCK_API_KEY_HASHES: 'a'.repeat(64) });
  tokenizer = loadTokenizer((await createFolderTokenizerFiles(tokenizersFolder).load('smollm2')).vocabulary);
  folder = await mkdtemp(join(tmpdir(), 'penstock-policy-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function says(text: string): EndpointEvent[] {
  const tokens = [...tokenizer.encode(text)].map(
    (tokenId): EndpointEvent => ({ type: 'tokens', tokenIds: [tokenId], logprobs: [{ tokenId, logprob: -1, top: [] }] }),
  );
  return [...tokens, { type: 'end', finishReason: 'stop' }];
}

async function gateway(endpoint: ScriptedEndpoint, policy: object) {
  const file = join(folder, `${Math.random()}.json`);
  await writeFile(file, JSON.stringify(policy));
  return createTestGateway(endpoint, { PENSTOCK_SAFETY_POLICY: file });
}

interface Chunk {
  choices: { delta: { content?: string }; finish_reason: string | null }[];
}
const textOf = (events: readonly unknown[]) => (events as Chunk[]).map((event) => event.choices?.[0]?.delta.content ?? '').join('');

describe('an answer under a policy', () => {
  const redacting = { pii: { input: 'allow', output: 'redact' } };

  it('shows no part of an address that is redacted, streamed and whole alike', async () => {
    const endpoint = new ScriptedEndpoint(() => says('Write to anna.smith@example.com today.'));
    const { post } = await gateway(endpoint, redacting);
    const events = await readEvents(await post('/v1/chat/completions', { ...hello, stream: true }));
    expect(events.pop()).toBe('[DONE]');
    const streamed = textOf(events);
    expect(streamed).toMatch(/^Write to .+ today\.$/);
    for (const piece of ['anna', 'smith', 'example']) expect(JSON.stringify(events)).not.toContain(piece);
    const whole = await readJson<ChatCompletion>(await post('/v1/chat/completions', hello));
    expect(whole.choices[0]?.message.content).toBe(streamed);
  });

  it('shows no token of a redacted piece in log-probabilities', async () => {
    const { post } = await gateway(
      new ScriptedEndpoint(() => says('Write to anna.smith@example.com today, or call the office.')),
      redacting,
    );
    const events = await readEvents(await post('/v1/chat/completions', { ...hello, stream: true, logprobs: true }));
    const text = JSON.stringify(events);
    for (const piece of ['anna', 'smith', 'example']) expect(text).not.toContain(piece);
    expect(text).toContain('office');
  });

  it('ends at a block in a well-formed way: true reason, usage, [DONE], and the endpoint stops', async () => {
    const endpoint = new ScriptedEndpoint(() => says('One two three 4111 1111 1111 1111 and more that nobody may see.'));
    const { post } = await gateway(endpoint, { pii: { input: 'allow', output: 'block' } });
    const events = await readEvents(
      await post('/v1/chat/completions', { ...hello, stream: true, stream_options: { include_usage: true } }),
    );
    expect(events.pop()).toBe('[DONE]');
    const usage = events.pop() as { usage: { completion_tokens: number } };
    expect(usage.usage.completion_tokens).toBeGreaterThan(5);
    expect((events as Chunk[]).at(-1)?.choices[0]?.finish_reason).toBe('content_filter');
    expect(textOf(events)).toBe('One two three ');
    expect(endpoint.closed).toBe(1);
    expect(endpoint.signals[0]?.aborted).toBe(true);
  });

  it('is left as it is without a policy', async () => {
    const { post } = await createTestGateway(new ScriptedEndpoint(() => says('anna.smith@example.com')));
    const whole = await readJson<ChatCompletion>(await post('/v1/chat/completions', hello));
    expect(whole.choices[0]?.message.content).toBe('anna.smith@example.com');
  });
});

describe('a prompt under a policy', () => {
  it('is refused when it is blocked, before the endpoint is called', async () => {
    const endpoint = new ScriptedEndpoint(() => says('x'));
    const { post } = await gateway(endpoint, { secrets: { input: 'block', output: 'allow' } });
    const response = await post('/v1/chat/completions', {
      model: MODEL,
      messages: [{ role: 'user', content: 'My key is AKIAIOSFODNN7EXAMPLE, keep it.' }],
    });
    expect(response.status).toBe(400);
    expect((await readJson<{ error: { code: string; param: string } }>(response)).error).toMatchObject({
      code: 'content_policy_violation',
      param: 'messages',
    });
    expect(endpoint.requests).toEqual([]);
  });

  it('reaches the model without what is redacted', async () => {
    const endpoint = new ScriptedEndpoint(() => says('ok'));
    const { post } = await gateway(endpoint, { pii: { input: 'redact', output: 'allow' } });
    await post('/v1/chat/completions', { model: MODEL, messages: [{ role: 'user', content: 'I am anna.smith@example.com, hello.' }] });
    await post('/v1/completions', { model: MODEL, prompt: 'I am anna.smith@example.com, hello.' });
    for (const request of endpoint.requests) {
      const prompt = tokenizer.decode(request.promptTokenIds);
      expect(prompt).not.toContain('anna');
      expect(prompt).toContain(', hello.');
    }
  });
});

describe('a policy that cannot be used', () => {
  it('is refused at the start with its problems', async () => {
    await expect(gateway(new ScriptedEndpoint(() => []), { pii: { input: 'explode' } })).rejects.toThrow(
      /PENSTOCK_SAFETY_POLICY[\s\S]*pii/,
    );
  });
});
