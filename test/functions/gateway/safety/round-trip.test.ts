import fc from 'fast-check';
import type OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { hostileText } from '../../../support/hostile-text.ts';
import { readChat, type SafetyStack, startSafetyStack } from '../../../support/safety-stack.ts';

const masking = { pii: { input: 'mask', output: 'redact' }, secrets: { input: 'mask', output: 'redact' } };
const EMAIL = 'anna.smith@example.com';
const CARD = '4111 1111 1111 1111';
const ask = { model: 'chat', messages: [{ role: 'user' as const, content: `I am ${EMAIL}, my card is ${CARD}.` }] };
let stack: SafetyStack;

beforeAll(async () => {
  stack = await startSafetyStack();
  await stack.setPolicy(masking);
});
afterAll(() => stack[Symbol.asyncDispose]());
afterEach(() => void stack.model.requests.splice(0));

/** The last message of the user, as the model read it. */
const lastMessage = (prompt: string) => prompt.split('<|im_start|>user\n').at(-1)?.split('<|im_end|>')[0] ?? '';
const stream = (body: object) =>
  stack.client.chat.completions
    .create({ ...ask, ...body, stream: true, stream_options: { include_usage: true } } as OpenAI.ChatCompletionCreateParamsStreaming)
    .then(readChat);

describe('values that a policy masks', () => {
  it('are hidden from the model and back in the answer, whole and streamed', async () => {
    stack.says((prompt) => `You said: ${lastMessage(prompt)}`);
    const said = `You said: I am ${EMAIL}, my card is ${CARD}.`;
    const whole = await stack.client.chat.completions.create(ask);
    expect(whole.choices[0]?.message.content).toBe(said);
    const { choices } = await stream({});
    expect(choices[0]).toMatchObject({ content: said, finish: 'stop' });
    for (const prompt of stack.prompts()) {
      expect(prompt).toContain('I am ⟦EMAIL_1⟧, my card is ⟦CARD_1⟧.');
      expect(prompt).not.toMatch(/anna|4111/);
    }
  });

  it('come back whatever is said: the round trip changes nothing', { timeout: 120_000 }, async () => {
    // An output rule would look at what stands beside a placeholder: that is another matter.
    await stack.setPolicy({ pii: { input: 'mask', output: 'flag' }, secrets: { input: 'mask', output: 'flag' } });
    stack.says((prompt) => lastMessage(prompt));
    // What this vocabulary cannot spell, it cannot give back.
    const text = hostileText.filter((one) => stack.tokenizer.decode(stack.tokenizer.encode(one)) === one);
    await fc.assert(
      fc.asyncProperty(text, fc.boolean(), async (content, isStreamed) => {
        const asked = `Say: ${content} .`;
        const body = { ...ask, messages: [{ role: 'user' as const, content: asked }] };
        const answer = isStreamed
          ? (await stream(body)).choices[0]?.content
          : (await stack.client.chat.completions.create(body)).choices[0]?.message.content;
        expect(answer).toBe(asked);
      }),
      { numRuns: 60 },
    );
    await stack.setPolicy(masking);
  });

  it('are hidden in every message, in thoughts and in the arguments of calls, behind one name', async () => {
    stack.says('Done with ⟦EMAIL_1⟧.');
    const messages = [
      { role: 'system', content: `Write for ${EMAIL}.` },
      { role: 'user', content: 'Send it.' },
      {
        role: 'assistant',
        content: '',
        reasoning_content: `They are ${EMAIL}.`,
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'send', arguments: `{"to":"${EMAIL}","note":"line\\n${EMAIL}"}` } },
        ],
      },
      { role: 'tool', tool_call_id: 'call_1', content: `{"sent_to":"${EMAIL}","by":"bob@example.org"}` },
    ];
    const answer = await stack.client.chat.completions.create({ model: 'chat', messages } as OpenAI.ChatCompletionCreateParamsNonStreaming);
    expect(answer.choices[0]?.message.content).toBe(`Done with ${EMAIL}.`);
    const [prompt = ''] = stack.prompts();
    expect(prompt).not.toMatch(/anna|bob@/);
    expect(prompt).toContain('⟦EMAIL_2⟧');
    expect(prompt.match(/⟦EMAIL_1⟧/g)?.length).toBeGreaterThanOrEqual(3);
  });

  it('are back in thoughts, in arguments of calls as JSON, and in every choice', async () => {
    const tools = [{ type: 'function' as const, function: { name: 'send', parameters: { type: 'object' } } }];
    stack.says(
      '<think>It is ⟦EMAIL_1⟧.</think>Sending.<tool_call>\n{"name": "send", "arguments": {"to": "⟦EMAIL_1⟧", "card": "\\u27e6CARD_1\\u27e7"}}\n</tool_call>',
    );
    const { choices } = await stream({ tools, n: 2 });
    expect(choices).toHaveLength(2);
    for (const choice of choices) {
      expect(choice).toMatchObject({ reasoning: `It is ${EMAIL}.`, finish: 'tool_calls' });
      expect(JSON.parse(choice.arguments)).toEqual({ to: EMAIL, card: CARD });
    }
  });

  it('are escaped where the answer is JSON', async () => {
    const pem = '-----BEGIN PRIVATE KEY-----\nMIIEabc\n-----END PRIVATE KEY-----';
    stack.says('{"key": "⟦PRIVATE_KEY_1⟧"}');
    const answer = await stack.client.chat.completions.create({
      model: 'chat',
      messages: [{ role: 'user', content: `Put this into JSON: ${pem}` }],
      response_format: { type: 'json_object' },
    });
    expect(JSON.parse(answer.choices[0]?.message.content ?? '')).toEqual({ key: pem });
    expect(stack.prompts()[0]).not.toContain('MIIE');
  });

  it('stay hidden in the arguments of calls where the policy says so', async () => {
    await stack.setPolicy({ ...masking, restoreIn: ['content'] }, 'projects/careful');
    const created = await stack.call('POST', '/v1/admin/api_keys', { name: 'careful', project_id: 'careful' });
    const { key } = (await created.json()) as { key: string };
    const tools = [{ type: 'function', function: { name: 'send', parameters: { type: 'object' } } }];
    stack.says('To ⟦EMAIL_1⟧.<tool_call>\n{"name": "send", "arguments": {"to": "⟦EMAIL_1⟧"}}\n</tool_call>');
    const response = await stack.call('POST', '/v1/chat/completions', { ...ask, tools }, key);
    const { choices } = (await response.json()) as OpenAI.ChatCompletion;
    const [message] = choices.map((choice) => choice.message);
    expect(message?.content).toBe(`To ${EMAIL}.`);
    expect(JSON.stringify(message?.tool_calls)).toContain('⟦EMAIL_1⟧');
  });

  it('come back in the Responses API, streamed, whole, and when they are read again', async () => {
    stack.says((prompt) => `You said: ${lastMessage(prompt)}`);
    const input = `Mail ${EMAIL}`;
    const whole = await stack.client.responses.create({ model: 'chat', input });
    expect(whole.output_text).toBe(`You said: ${input}`);
    let streamed = '';
    let id = '';
    for await (const event of await stack.client.responses.create({ model: 'chat', input, stream: true })) {
      if (event.type === 'response.output_text.delta') streamed += event.delta;
      if (event.type === 'response.completed') id = event.response.id;
    }
    expect(streamed).toBe(`You said: ${input}`);
    expect((await stack.client.responses.retrieve(id)).output_text).toBe(streamed);
    const next = await stack.client.responses.create({ model: 'chat', input: 'Again.', previous_response_id: id });
    expect(next.output_text).toBe('You said: Again.');
    for (const prompt of stack.prompts()) expect(prompt).not.toContain('anna');
  });

  it('are not given back by the answer of another request', async () => {
    stack.says('It is ⟦EMAIL_1⟧.');
    const other = await stack.client.chat.completions.create({
      model: 'chat',
      messages: [{ role: 'user', content: 'Who was it before?' }],
    });
    expect(other.choices[0]?.message.content).toBe('It is ⟦EMAIL_1⟧.');
    const [mine, theirs] = await Promise.all(
      [EMAIL, 'carl@example.net'].map((address) =>
        stack.client.chat.completions.create({ model: 'chat', messages: [{ role: 'user', content: `I am ${address}` }] }),
      ),
    );
    expect(mine?.choices[0]?.message.content).toBe(`It is ${EMAIL}.`);
    expect(theirs?.choices[0]?.message.content).toBe('It is carl@example.net.');
  });

  it('are in no log line, and with store: false in no answer that is kept', async () => {
    stack.says((prompt) => lastMessage(prompt));
    await stream({ store: false });
    expect(JSON.stringify(stack.logged)).not.toMatch(/anna|4111/);
    expect(JSON.stringify(await stack.usage())).not.toMatch(/anna|4111/);
  });

  it('show none of their tokens in log-probabilities, and the offsets of the others count what is shown', async () => {
    stack.says('Hello there, ⟦EMAIL_1⟧ it is, and that is all.');
    const text = `Hello there, ${EMAIL} it is, and that is all.`;
    const { choices } = await stream({ logprobs: true });
    expect(choices[0]?.content).toBe(text);
    expect(choices[0]?.tokens.join('')).toMatch(/^Hello there, ?.*it is, and that is all\.$/);
    expect(choices[0]?.tokens.join('')).not.toMatch(/EMAIL|⟦/);
    const bare = await stack.client.completions.create({ model: 'chat', prompt: `I am ${EMAIL}.`, logprobs: 0, max_tokens: 40 });
    expect(bare.choices[0]?.text).toBe(text);
    const { tokens = [], text_offset: offsets = [] } = bare.choices[0]?.logprobs ?? {};
    expect(tokens.length).toBeGreaterThan(8);
    for (const [index, token] of tokens.entries()) expect(text.slice(offsets[index]).startsWith(token), token).toBe(true);
  });

  it('end the answer where they bring a stop sequence with them', async () => {
    stack.says('Write to ⟦EMAIL_1⟧ now.');
    for (const stop of ['@example', EMAIL, 'to anna']) {
      const body = { ...ask, stop: [stop] };
      const text = `Write to ${EMAIL} now.`;
      const whole = await stack.client.chat.completions.create(body);
      expect(whole.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: text.slice(0, text.indexOf(stop)) } });
      expect((await stream(body)).choices[0]).toMatchObject({ finish: 'stop', content: text.slice(0, text.indexOf(stop)) });
    }
  });

  it('are hidden in every stage of a refined answer, and back in its end', async () => {
    stack.says((_, call) => (call === 0 ? 'A draft for ⟦EMAIL_1⟧, who asked for it.' : 'A better one for ⟦EMAIL_1⟧.'));
    const answer = await stack.client.chat.completions.create({ ...ask, model: 'refined', max_tokens: 300 });
    expect(answer.choices[0]?.message.content).toBe(`A better one for ${EMAIL}.`);
    expect(stack.prompts()).toHaveLength(2);
    for (const prompt of stack.prompts()) expect(prompt).not.toContain('anna');
  });
});

describe('a bare completion', () => {
  it('is masked as well, and its echo is the text that was sent', async () => {
    stack.says(' Bye ⟦EMAIL_1⟧.');
    const answer = await stack.client.completions.create({ model: 'chat', prompt: `Hello ${EMAIL},`, echo: true, max_tokens: 40 });
    expect(answer.choices[0]?.text).toBe(`Hello ${EMAIL}, Bye ${EMAIL}.`);
  });

  it('of token ids is refused where something would have to be cut out of them, and judged before', async () => {
    const clean = [...stack.tokenizer.encode('The weather is fine.')];
    stack.says(' Yes.');
    expect((await stack.client.completions.create({ model: 'chat', prompt: clean, max_tokens: 9 })).choices[0]?.text).toBe(' Yes.');
    const dirty = [...stack.tokenizer.encode(`I am ${EMAIL}`)];
    await expect(stack.client.completions.create({ model: 'chat', prompt: dirty, max_tokens: 9 })).rejects.toMatchObject({
      status: 400,
      param: 'prompt',
      code: 'content_policy_violation',
    });
    expect(stack.model.requests).toHaveLength(1);
  });
});
