import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningPenstock, startPenstock } from '../support/start-penstock.ts';

const MODEL = 'smollm2-135m-instruct';
const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }];
let penstock: RunningPenstock | undefined;
let client: OpenAI;

beforeAll(async () => {
  penstock = await startPenstock();
  client = new OpenAI({ baseURL: penstock.url, apiKey: 'sk-local', maxRetries: 0 });
});
afterAll(() => penstock?.stop());

describe('the official client against the whole stack', () => {
  it('streams an answer of the real model that equals the whole one', async () => {
    const options = { model: MODEL, messages, max_completion_tokens: 24, temperature: 0 };
    const whole = await client.chat.completions.create(options);
    let text = '';
    let usage: OpenAI.CompletionUsage | null | undefined;
    let finishReason: string | null = null;
    let chunks = 0;
    for await (const chunk of await client.chat.completions.create({ ...options, stream: true, stream_options: { include_usage: true } })) {
      chunks += 1;
      text += chunk.choices[0]?.delta.content ?? '';
      finishReason = chunk.choices[0]?.finish_reason ?? finishReason;
      usage = chunk.usage ?? usage;
    }
    expect(text).toMatch(/Paris|France/); // the model is small, but it stays with the subject
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(finishReason).toBe(whole.choices[0]?.finish_reason);
    expect(usage?.completion_tokens).toBe(whole.usage?.completion_tokens);
    expect(usage?.prompt_tokens).toBe(whole.usage?.prompt_tokens);
    expect(chunks).toBeGreaterThan(8);
  });

  it('draws the same answer for the same seed and another for another', async () => {
    const ask = async (seed: number) => {
      const answer = await client.chat.completions.create({ model: MODEL, messages, max_completion_tokens: 16, temperature: 1, seed });
      return answer.choices[0]?.message.content;
    };
    const [first, again, other] = await Promise.all([ask(1), ask(1), ask(2)]);
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });

  it('ends with length when the limit cuts it, and with stop at a stop sequence', async () => {
    const cut = await client.chat.completions.create({ model: MODEL, messages, max_tokens: 3, temperature: 0 });
    expect(cut.choices[0]?.finish_reason).toBe('length');
    expect(cut.usage?.completion_tokens).toBe(3);
    const stopped = await client.completions.create({
      model: MODEL,
      prompt: 'One, two, three, four,',
      max_tokens: 40,
      temperature: 0,
      stop: [', six'],
    });
    expect(stopped.choices[0]?.finish_reason).toBe('stop');
    expect(stopped.choices[0]?.text).not.toContain(', six');
    expect(stopped.choices[0]?.text).toContain('five');
  });

  it('serves several streams at once, each its own', async () => {
    const prompts = ['The sea is', 'My dog likes', 'In winter we', 'The old king'];
    const alone: string[] = [];
    for (const prompt of prompts) alone.push(await complete(prompt));
    expect(await Promise.all(prompts.map(complete))).toEqual(alone);

    async function complete(prompt: string): Promise<string> {
      let text = '';
      for await (const chunk of await client.completions.create({ model: MODEL, prompt, max_tokens: 12, temperature: 0, stream: true }))
        text += chunk.choices[0]?.text ?? '';
      return text;
    }
  });

  it('lists its model and tells errors in the classes of the SDK', async () => {
    const models = await client.models.list();
    expect(models.data.map((model) => model.id)).toContain(MODEL);
    await expect(client.chat.completions.create({ model: 'gpt-nope', messages })).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(client.chat.completions.create({ model: MODEL, messages: [] })).rejects.toMatchObject({
      status: 400,
      param: 'messages',
      requestID: expect.stringMatching(/^req_/),
    });
    const stranger = new OpenAI({ baseURL: client.baseURL, apiKey: 'sk-wrong', maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  });
});
