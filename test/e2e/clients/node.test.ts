import OpenAI from 'openai';
import type { ResponseStreamEvent } from 'openai/resources/responses/responses';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type CheckingProxy, startCheckingProxy } from '../../support/checking-proxy.ts';
import { type RunningPenstock, startPenstock } from '../../support/start-penstock.ts';

const MODEL = 'smollm2-135m-instruct';
let penstock: RunningPenstock;
let proxy: CheckingProxy;
let client: OpenAI;

beforeAll(async () => {
  penstock = await startPenstock();
  proxy = await startCheckingProxy(penstock.port);
  client = new OpenAI({ baseURL: proxy.url, apiKey: 'sk-local', maxRetries: 0 });
});
afterEach(() => expect(proxy.problems()).toEqual([]));
afterAll(async () => {
  await proxy.stop();
  await penstock.stop();
});

const schema = {
  type: 'object',
  properties: { city: { type: 'string', maxLength: 12 }, warm: { type: 'boolean' } },
  required: ['city', 'warm'],
  additionalProperties: false,
} as const;

/** Each answer and each event is held against OpenAI’s document on its way. */
describe('openai for Node', () => {
  it('makes a response, goes on from it, reads and deletes it', async () => {
    const first = await client.responses.create({ model: MODEL, input: 'Say hello.', max_output_tokens: 8, temperature: 0 });
    expect(first.output_text.length).toBeGreaterThan(0);
    const second = await client.responses.create({
      model: MODEL,
      input: 'And again.',
      previous_response_id: first.id,
      max_output_tokens: 8,
      temperature: 0,
    });
    expect(second.usage?.input_tokens).toBeGreaterThan(first.usage?.total_tokens ?? 0);
    expect((await client.responses.retrieve(first.id)).output_text).toBe(first.output_text);
    const items = await client.responses.inputItems.list(first.id);
    expect(items.data).toHaveLength(1);
    const counted = await client.responses.inputTokens.count({ model: MODEL, input: 'Say hello.' });
    expect(counted.input_tokens).toBe(first.usage?.input_tokens);
    await client.responses.delete(first.id);
    await expect(client.responses.retrieve(first.id)).rejects.toMatchObject({ status: 404 });
  });

  it('streams a response that equals the whole one', async () => {
    const options = { model: MODEL, input: 'Count to five.', max_output_tokens: 16, temperature: 0 };
    const whole = await client.responses.create(options);
    const events: ResponseStreamEvent[] = [];
    for await (const event of await client.responses.create({ ...options, stream: true })) events.push(event);
    for (const [index, event] of events.entries()) expect(event.sequence_number).toBe(index);
    const text = events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('');
    expect(text).toBe(whole.output_text);
    const helper = client.responses.stream(options);
    expect((await helper.finalResponse()).output_text).toBe(text);
  });

  it('gets JSON by a schema from responses and chat completions', async () => {
    const answer = await client.responses.create({
      model: MODEL,
      input: 'Is Rome warm?',
      temperature: 0,
      max_output_tokens: 64,
      text: { format: { type: 'json_schema', name: 'weather', schema, strict: true } },
    });
    expect(Object.keys(JSON.parse(answer.output_text)).sort()).toEqual(['city', 'warm']);
    const chat = await client.chat.completions.create({
      model: MODEL,
      messages: [{ role: 'user', content: 'Is Rome warm?' }],
      temperature: 0,
      max_tokens: 64,
      response_format: { type: 'json_schema', json_schema: { name: 'weather', schema, strict: true } },
    });
    expect(typeof JSON.parse(chat.choices[0]?.message.content ?? '').warm).toBe('boolean');
  });

  it('has the named tool called, and gives its result back', async () => {
    const tools = [{ type: 'function' as const, name: 'weather', parameters: { ...schema }, strict: true }];
    const answer = await client.responses.create({
      model: MODEL,
      input: 'Weather in Rome?',
      tools,
      tool_choice: { type: 'function', name: 'weather' },
      max_output_tokens: 64,
      temperature: 0,
    });
    const [call] = answer.output;
    if (call?.type !== 'function_call') throw new Error('no call');
    expect(JSON.parse(call.arguments)).toHaveProperty('city');
    const next = await client.responses.create({
      model: MODEL,
      previous_response_id: answer.id,
      input: [{ type: 'function_call_output', call_id: call.call_id, output: '{"celsius": 30}' }],
      max_output_tokens: 8,
    });
    expect(next.output[0]?.type).toBe('message');
  });

  it('keeps a conversation', async () => {
    const conversation = await client.conversations.create({ items: [{ role: 'user', content: 'I am Ada.' }] });
    await client.responses.create({ model: MODEL, conversation: conversation.id, input: 'Who am I?', max_output_tokens: 8 });
    const items = [];
    for await (const item of client.conversations.items.list(conversation.id, { limit: 2 })) items.push(item);
    expect(items).toHaveLength(3);
    expect((await client.conversations.delete(conversation.id)).deleted).toBe(true);
  });

  it('makes a response in the background, loses its connection, and reads on where it was', async () => {
    const stream = await client.responses.create({
      model: MODEL,
      input: 'Tell a short story.',
      background: true,
      stream: true,
      max_output_tokens: 24,
      temperature: 0,
    });
    let id = '';
    let last = 0;
    for await (const event of stream) {
      if (event.type === 'response.created') id = event.response.id;
      last = event.sequence_number;
      if (event.type === 'response.output_text.delta') break;
    }
    const rest: ResponseStreamEvent[] = [];
    for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: last })) rest.push(event);
    expect(rest.map((event) => event.sequence_number)).toEqual(rest.map((_, index) => last + 1 + index));
    expect(rest.at(-1)?.type).toMatch(/^response\.(completed|incomplete)$/);
  });

  it('drafts and refines', async () => {
    const answer = await client.responses.create({ model: 'gpt-refined', input: 'What is rain?', max_output_tokens: 96, temperature: 0 });
    expect(answer.output_text.length).toBeGreaterThan(0);
    expect(answer.output[0]?.type).toBe('reasoning');
    expect(answer.usage?.output_tokens).toBeLessThanOrEqual(96);
  });

  it('classifies', async () => {
    const body = { model: MODEL, task: 'sentiment', input: ['I loved every minute of it.', 'A terrible waste of time.'] };
    const answer = await client.post<{ data: { label: string }[] }>('/classify', { body });
    expect(answer.data.map(({ label }) => label)).toEqual(['positive', 'negative']);
  });

  it('throws the SDK’s own errors, with their codes', async () => {
    const wrong = new OpenAI({ baseURL: penstock.url, apiKey: 'sk-wrong', maxRetries: 0 });
    await expect(wrong.models.list()).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' });
    await expect(client.responses.create({ model: 'none', input: 'x' })).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
    await expect(client.responses.create({ model: MODEL, input: 'x '.repeat(20_000) })).rejects.toMatchObject({
      status: 400,
      code: 'context_length_exceeded',
    });
    const { requestID } = await client.models
      .list()
      .withResponse()
      .then(({ request_id }) => ({ requestID: request_id }));
    expect(requestID).toMatch(/^req_/);
  });
});
