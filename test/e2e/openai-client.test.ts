import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type CheckingProxy, startCheckingProxy } from '../support/checking-proxy.ts';
import { type RunningPenstock, startPenstock } from '../support/start-penstock.ts';

const MODEL = 'smollm2-135m-instruct';
/** The same engine and endpoint as with a real one, with vectors of eight numbers. */
const TINY_EMBEDDING = new URL('../fixtures/engine/tiny-embedding', import.meta.url).pathname;
const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }];
let penstock: RunningPenstock | undefined;
let proxy: CheckingProxy;
let client: OpenAI;

beforeAll(async () => {
  penstock = await startPenstock(['--embeddings', TINY_EMBEDDING]);
  proxy = await startCheckingProxy(penstock.port);
  client = new OpenAI({ baseURL: proxy.url, apiKey: 'sk-local', maxRetries: 0 });
});
afterEach(() => expect(proxy.problems()).toEqual([]));
afterAll(async () => {
  await proxy.stop();
  await penstock?.stop();
});

/** Each answer and each event is held against OpenAI’s document on its way. */
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

  it('tells log-probabilities, whole and streamed, and those of a prompt', async () => {
    const options = { model: MODEL, messages, max_tokens: 4, temperature: 0, logprobs: true, top_logprobs: 3, n: 2 };
    const whole = await client.chat.completions.create(options);
    const tokens = whole.choices[1]?.logprobs?.content ?? [];
    expect(tokens).toHaveLength(4);
    expect(tokens[0]?.top_logprobs[0]?.token).toBe(tokens[0]?.token); // at temperature 0 the likeliest is drawn
    const streamed: string[] = [];
    for await (const { choices } of await client.chat.completions.create({ ...options, stream: true })) {
      for (const { index, logprobs } of choices) if (index === 1) streamed.push(...(logprobs?.content ?? []).map(({ token }) => token));
    }
    expect(streamed).toEqual(tokens.map(({ token }) => token));
    const prompt = 'The sky is blue';
    const scored = await client.completions.create({ model: MODEL, prompt, max_tokens: 0, echo: true, logprobs: 2 });
    expect(scored.choices[0]?.logprobs?.tokens?.join('')).toBe(prompt);
    const echoed = await client.completions.create({ model: MODEL, prompt, max_tokens: 2, echo: true, logprobs: 2, stream: true });
    let text = '';
    for await (const chunk of echoed) text += chunk.choices[0]?.text ?? '';
    expect(text.startsWith(prompt)).toBe(true);
  });

  it('calls a tool in a stream, and constrains an answer to JSON', async () => {
    const parameters = { type: 'object', properties: { warm: { type: 'boolean' } }, required: ['warm'], additionalProperties: false };
    const tools = [{ type: 'function' as const, function: { name: 'weather', parameters, strict: true } }];
    const runner = client.chat.completions.stream({
      model: MODEL,
      messages,
      tools,
      tool_choice: 'required',
      temperature: 0,
      max_tokens: 64,
    });
    const [choice] = (await runner.finalChatCompletion()).choices;
    expect(choice?.finish_reason).toBe('tool_calls');
    const [call] = choice?.message.tool_calls ?? [];
    expect(call?.type === 'function' && typeof JSON.parse(call.function.arguments).warm).toBe('boolean');
  });

  it('embeds, in both encodings, and moderates', async () => {
    const ask = { model: 'all-minilm-l6-v2', input: ['the sea', 'is blue'] };
    const floats = await client.embeddings.create({ ...ask, encoding_format: 'float' });
    const decoded = await client.embeddings.create(ask);
    expect(decoded.data.map(({ embedding }) => embedding.map(Math.fround))).toEqual(
      floats.data.map(({ embedding }) => embedding.map(Math.fround)),
    );
    const raw = await client.post<{ data: { embedding: string }[] }>('/embeddings', { body: { ...ask, encoding_format: 'base64' } });
    expect(typeof raw.data[0]?.embedding).toBe('string');
    expect((await client.moderations.create({ input: 'I will kill you.' })).results).toHaveLength(1);
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
