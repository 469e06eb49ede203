import { createParser } from 'eventsource-parser';
import type { ResponseOutputMessage, ResponseStreamEvent } from 'openai/resources/responses/responses';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadServerConfig } from '../../../functions/gateway/config.ts';
import { EndpointRefusedError } from '../../../functions/gateway/errors.ts';
import type { WireResponse } from '../../../functions/gateway/openai/responses-object.ts';
import type { EndpointEvent } from '../../../functions/gateway/services.ts';
import type { Tokenizer } from '../../../layers/tokenizer/index.ts';
import { createTestGateway, TEST_KEY } from '../../support/gateway.ts';
import { problemsBy, problemsOfEvent } from '../../support/openai-schemas.ts';
import { ScriptedEndpoint, untilAborted } from '../../support/scripted-endpoint.ts';
import { loadModelTokenizer, MODEL, says } from '../../support/scripted-model.ts';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadModelTokenizer();
});

const headers = { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' };

async function gatewayThatSays(...texts: readonly (string | EndpointEvent[])[]) {
  const endpoint = new ScriptedEndpoint((_, call) => {
    const script = texts[Math.min(call, texts.length - 1)] ?? '';
    return typeof script === 'string' ? says(tokenizer, script) : script;
  });
  const gateway = await createTestGateway(endpoint);
  const ask = async (body: object): Promise<WireResponse> => {
    const response = await gateway.post('/v1/responses', { model: MODEL, ...body });
    const answer = (await response.json()) as WireResponse;
    expect(response.status, JSON.stringify(answer)).toBe(200);
    expect(problemsBy('Response', answer)).toEqual([]);
    return answer;
  };
  const stream = async (body: object) => readNamedEvents(await gateway.post('/v1/responses', { model: MODEL, stream: true, ...body }));
  const call = async (method: string, path: string, body?: unknown) => {
    const response = await gateway.app.request(path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> & { error?: Record<string, unknown> } };
  };
  /** What the model read, call by call. */
  const prompts = () => endpoint.requests.map((request) => tokenizer.decode(request.promptTokenIds));
  return { ...gateway, endpoint, ask, stream, call, prompts };
}

/** Each event, checked against OpenAI's document and its own name and number. */
async function readNamedEvents(response: Response): Promise<ResponseStreamEvent[]> {
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  const events: ResponseStreamEvent[] = [];
  const parser = createParser({
    onEvent({ event, data }) {
      const value = JSON.parse(data);
      expect(value.type).toBe(event);
      expect(value.sequence_number).toBe(events.length);
      expect(problemsOfEvent(value), data).toEqual([]);
      events.push(value);
    },
  });
  parser.feed(await response.text());
  return events;
}

function textOf(response: Pick<WireResponse, 'output'>): string {
  return response.output
    .filter((item): item is ResponseOutputMessage => item.type === 'message')
    .flatMap((item) => item.content.map((part) => (part.type === 'output_text' ? part.text : '')))
    .join('');
}

describe('POST /v1/responses', () => {
  it('answers whole, with every field that OpenAI requires and exact usage', async () => {
    const { ask, endpoint } = await gatewayThatSays('Grüße 👋🏽!');
    const answer = await ask({ input: 'Hi', instructions: 'Be brief.', metadata: { a: 'b' }, temperature: 0.5, max_output_tokens: 40 });
    expect(answer).toMatchObject({
      object: 'response',
      status: 'completed',
      instructions: 'Be brief.',
      metadata: { a: 'b' },
      temperature: 0.5,
      error: null,
      incomplete_details: null,
      parallel_tool_calls: true,
      tool_choice: 'auto',
      tools: [],
    });
    expect(textOf(answer)).toBe('Grüße 👋🏽!');
    const promptTokens = endpoint.requests[0]?.promptTokenIds.length ?? 0;
    const completionTokens = tokenizer.encode('Grüße 👋🏽!').length + 1;
    expect(answer.usage).toMatchObject({
      input_tokens: promptTokens,
      output_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
    });
    expect(endpoint.requests[0]).toMatchObject({ maxTokens: 40, sampling: { temperature: 0.5 } });
  });

  it('streams what the whole answer says, each event as OpenAI has it, numbered without a gap, and ends without [DONE]', async () => {
    const { post } = await gatewayThatSays('Straße 日本語 👩‍👩‍👧 done');
    const response = await post('/v1/responses', { model: MODEL, input: 'Hi', stream: true });
    const raw = await response.clone().text();
    const events = await readNamedEvents(response);
    expect(raw).not.toContain('[DONE]');
    expect(events.map((event) => event.type).filter((type) => !type.endsWith('delta'))).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ]);
    const said = events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('');
    expect(said).toBe('Straße 日本語 👩‍👩‍👧 done');
    const last = events.at(-1);
    expect(last?.type === 'response.completed' && textOf(last.response)).toBe(said);
    for (const event of events) if (event.type.endsWith('.delta')) expect(event).toHaveProperty('obfuscation');
  });

  it('hides no lengths when that is not wanted', async () => {
    const { stream } = await gatewayThatSays('Hello');
    for (const event of await stream({ input: 'Hi', stream_options: { include_obfuscation: false } })) {
      expect(event).not.toHaveProperty('obfuscation');
    }
  });

  it('ends an answer that was cut with response.incomplete and its reason', async () => {
    const { stream, ask } = await gatewayThatSays(says(tokenizer, 'One two', 'length'));
    const last = (await stream({ input: 'Count', max_output_tokens: 2 })).at(-1);
    expect(last).toMatchObject({
      type: 'response.incomplete',
      response: { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } },
    });
    expect(await ask({ input: 'Count', max_output_tokens: 2 })).toMatchObject({ status: 'incomplete', output: [{ status: 'incomplete' }] });
  });

  it('ends a generation that breaks with response.failed, after what was said', async () => {
    const { post, logged } = await createTestGateway(
      new ScriptedEndpoint(function* () {
        yield* says(tokenizer, 'Half').slice(0, 1);
        throw new EndpointRefusedError('No.');
      }),
    );
    const events = await readNamedEvents(await post('/v1/responses', { model: MODEL, input: 'Hi', stream: true }));
    expect(events.at(-1)).toMatchObject({ type: 'response.failed', response: { status: 'failed', error: { code: 'server_error' } } });
    expect(logged.map(({ event }) => event)).toContain('stream-failed');
    expect((await post('/v1/responses', { model: MODEL, input: 'Hi' })).status).toBe(400);
  });

  it('calls the named tool, streamed and whole', async () => {
    const tools = [{ type: 'function', name: 'weather', parameters: { type: 'object' }, strict: null }];
    const body = { input: 'Rain?', tools, tool_choice: { type: 'function', name: 'weather' } };
    const { ask, stream, endpoint } = await gatewayThatSays('{"city": "Bonn"}');
    const answer = await ask(body);
    expect(answer.output).toMatchObject([{ type: 'function_call', name: 'weather', arguments: '{"city": "Bonn"}', status: 'completed' }]);
    expect(endpoint.requests[0]?.grammar).toEqual({ type: 'json-schema', schema: { type: 'object' } });
    const types = (await stream(body)).map((event) => event.type).filter((type) => !type.endsWith('delta'));
    expect(types).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.function_call_arguments.done',
      'response.output_item.done',
      'response.completed',
    ]);
  });

  it('offers only the allowed tools', async () => {
    const tools = ['a', 'b', 'c'].map((name) => ({ type: 'function', name, parameters: { type: 'object' }, strict: false }));
    const { ask, endpoint } = await gatewayThatSays('[{"name": "b", "arguments": {}}]');
    const choice = { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'b' }] };
    await ask({ input: 'Go', tools, tool_choice: choice });
    expect(JSON.stringify(endpoint.requests[0]?.grammar)).toContain('"b"');
    expect(JSON.stringify(endpoint.requests[0]?.grammar)).not.toContain('"a"');
  });

  it('constrains the answer to text.format', async () => {
    const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'], additionalProperties: false };
    const { ask, endpoint } = await gatewayThatSays('{"n": 1}');
    const answer = await ask({ input: 'Go', text: { format: { type: 'json_schema', name: 'number', schema, strict: true } } });
    expect(endpoint.requests[0]?.grammar).toMatchObject({ type: 'json-schema', schema });
    expect(answer.text?.format).toEqual({ type: 'json_schema', name: 'number', schema, strict: true });
  });

  it('reports log-probabilities when they are included', async () => {
    const { ask, stream } = await gatewayThatSays('Hi');
    const body = { input: 'Hi', include: ['message.output_text.logprobs'], top_logprobs: 1 };
    expect((await ask(body)).output).toMatchObject([{ content: [{ logprobs: [{ token: 'Hi', logprob: -0.5, bytes: [72, 105] }] }] }]);
    await stream(body);
  });

  it('reads items of every kind that it serves, in their short and long forms', async () => {
    const { ask, prompts } = await gatewayThatSays('ok');
    await ask({
      input: [
        { role: 'developer', content: 'D' },
        {
          type: 'message',
          role: 'user',
          content: [
            { type: 'input_text', text: 'U1' },
            { type: 'input_text', text: 'U2' },
          ],
        },
        { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'x' },
        {
          id: 'msg_1',
          type: 'message',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: 'A', annotations: [] }],
        },
        { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{}' },
        { type: 'function_call_output', call_id: 'c1', output: 'T' },
        { role: 'user', content: 'U3' },
      ],
    });
    const prompt = prompts()[0] ?? '';
    expect(prompt.startsWith('<|im_start|>system\nD<|im_end|>\n<|im_start|>user\nU1\nU2<|im_end|>\n<|im_start|>assistant\nA')).toBe(true);
    // The call stands in the turn that made it, and its result after it.
    expect(prompt).toMatch(/assistant\nA\n<tool_call>[^|]*"f"[^|]*<\/tool_call><\|im_end\|>\n<\|im_start\|>\w+\n[^|]*\bT\b/);
    expect(prompt.endsWith('<|im_start|>user\nU3<|im_end|>\n<|im_start|>assistant\n')).toBe(true);
  });

  it.each([
    [{ input: [{ type: 'input_image' }] }, 'input.0.type'],
    [{ input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] }, 'input.0.content'],
    [{ input: [{ role: 'robot', content: 'x' }] }, 'input.0.role'],
    [{ input: 5 }, 'input'],
    [{}, 'input'],
    [{ input: '', temperature: 3 }, 'temperature'],
    [{ input: 'x', max_output_tokens: 0 }, 'max_output_tokens'],
    [{ input: 'x', tools: [{ type: 'web_search' }] }, 'tools.0.type'],
    [{ input: 'x', tool_choice: 'required' }, 'tool_choice'],
    [{ input: 'x', prompt: { id: 'p' } }, 'prompt'],
    [{ input: 'x', unknown_field: 1 }, 'unknown_field'],
    [{ input: 'x', max_output_tokens: 100_000 }, 'max_output_tokens'],
    [{ input: 'x', previous_response_id: 'resp_none' }, 'previous_response_id'],
    [{ input: 'x', previous_response_id: 'a', conversation: 'b' }, 'conversation'],
    [{ input: [{ type: 'item_reference', id: 'msg_none' }] }, 'input'],
  ])('refuses %j and names the field', async (body, param) => {
    const { call } = await gatewayThatSays('never');
    const { status, body: answer } = await call('POST', '/v1/responses', { model: MODEL, ...body });
    expect(status).toBe(400);
    expect(problemsBy('ErrorResponse', answer)).toEqual([]);
    expect(String(answer.error?.['param'])).toMatch(new RegExp(`^${param.replaceAll('.', '\\.')}`));
  });
});

describe('what was said before', () => {
  it('is read again through previous_response_id, instructions are not', async () => {
    const { ask, prompts } = await gatewayThatSays('First answer', 'Second answer', 'Third answer');
    const first = await ask({ input: 'One', instructions: 'Old orders' });
    const second = await ask({ input: 'Two', previous_response_id: first.id });
    await ask({ input: 'Three', previous_response_id: second.id, instructions: 'New orders' });
    expect(prompts()[2]).toBe(
      '<|im_start|>system\nNew orders<|im_end|>\n<|im_start|>user\nOne<|im_end|>\n<|im_start|>assistant\nFirst answer<|im_end|>\n' +
        '<|im_start|>user\nTwo<|im_end|>\n<|im_start|>assistant\nSecond answer<|im_end|>\n<|im_start|>user\nThree<|im_end|>\n<|im_start|>assistant\n',
    );
  });

  it('branches where two continue from the same response', async () => {
    const { ask, prompts } = await gatewayThatSays('Root', 'Left', 'Right');
    const root = await ask({ input: 'r' });
    await ask({ input: 'left', previous_response_id: root.id });
    await ask({ input: 'right', previous_response_id: root.id });
    expect(prompts()[2]).not.toContain('Left');
  });

  it('is there as soon as the last event was read, and nowhere when store is false', async () => {
    const { stream, ask, call } = await gatewayThatSays('Answer');
    const last = (await stream({ input: 'One' })).at(-1);
    const id = last?.type === 'response.completed' ? last.response.id : '';
    await ask({ input: 'Two', previous_response_id: id });
    const gone = await ask({ input: 'One', store: false });
    expect((await call('GET', `/v1/responses/${gone.id}`)).status).toBe(404);
  });

  it('may be referred to item by item', async () => {
    const { ask, prompts } = await gatewayThatSays('Remember me');
    const first = await ask({ input: 'One' });
    await ask({
      input: [
        { type: 'item_reference', id: first.output[0]?.id },
        { role: 'user', content: 'Two' },
      ],
    });
    expect(prompts()[1]).toContain('assistant\nRemember me');
  });

  it('is refused when it does not fit, and shortened by whole turns with truncation auto', async () => {
    const { ask, call, prompts } = await gatewayThatSays('ok');
    const long = Array.from({ length: 40 }, (_, turn) => [
      { role: 'user', content: `Question ${turn}: ${'word '.repeat(220)}` },
      { role: 'assistant', content: `Answer ${turn}` },
    ]).flat();
    const input = [{ role: 'system', content: 'Keep me' }, ...long, { role: 'user', content: 'Last' }];
    const refused = await call('POST', '/v1/responses', { model: MODEL, input });
    expect(refused.body.error).toMatchObject({ code: 'context_length_exceeded', param: 'input' });
    await ask({ input, truncation: 'auto', max_output_tokens: 100 });
    const prompt = prompts()[0] ?? '';
    expect(prompt).toContain('system\nKeep me');
    expect(prompt).toContain('user\nLast');
    expect(prompt).not.toContain('Question 0:');
    expect(prompt).toMatch(/^<\|im_start\|>system\nKeep me<\|im_end\|>\n<\|im_start\|>user\nQuestion \d+/);
    expect(prompt).toContain('Answer 39');
  });
});

describe('a stored response', () => {
  it('is read, its input listed in pages, and deleted', async () => {
    const { ask, call } = await gatewayThatSays('Answer');
    const made = await ask({ input: [1, 2, 3].map((number) => ({ role: 'user', content: `m${number}` })) });
    expect((await call('GET', `/v1/responses/${made.id}`)).body).toEqual(JSON.parse(JSON.stringify(made)));
    const page = await call('GET', `/v1/responses/${made.id}/input_items?limit=2&order=asc`);
    expect(problemsBy('ResponseItemList', page.body)).toEqual([]);
    expect(page.body).toMatchObject({ has_more: true, data: [{ content: [{ text: 'm1' }] }, { content: [{ text: 'm2' }] }] });
    const rest = await call('GET', `/v1/responses/${made.id}/input_items?limit=2&order=asc&after=${page.body['last_id']}`);
    expect(rest.body).toMatchObject({ has_more: false, data: [{ content: [{ text: 'm3' }] }] });
    expect((await call('DELETE', `/v1/responses/${made.id}`)).body).toEqual({ id: made.id, object: 'response.deleted', deleted: true });
    expect((await call('GET', `/v1/responses/${made.id}`)).status).toBe(404);
    expect((await call('DELETE', `/v1/responses/${made.id}`)).status).toBe(404);
  });

  it('is nobody else’s', async () => {
    const otherKey = 'sk-other-0123456789';
    const { createHash } = await import('node:crypto');
    const digest = (key: string) => createHash('sha256').update(key).digest('hex');
    const gateway = await createTestGateway(new ScriptedEndpoint(() => says(tokenizer, 'mine')), {
      PENSTOCK_API_KEY_HASHES: `${digest(TEST_KEY)},${digest(otherKey)}`,
    });
    const mine = (await (await gateway.post('/v1/responses', { model: MODEL, input: 'x' })).json()) as WireResponse;
    const asOther = await gateway.app.request(`/v1/responses/${mine.id}`, { headers: { authorization: `Bearer ${otherKey}` } });
    expect(asOther.status).toBe(404);
    expect((await gateway.app.request(`/v1/responses/${mine.id}`, { headers })).status).toBe(200);
  });

  it('holds a document that is larger than a row may be', async () => {
    const { ask, call } = await gatewayThatSays('ok');
    const parameters = { type: 'object', description: '𝄞é'.repeat(120_000) };
    const made = await ask({ input: 'x', tools: [{ type: 'function', name: 'f', parameters, strict: false }], tool_choice: 'none' });
    expect((await call('GET', `/v1/responses/${made.id}`)).body).toEqual(JSON.parse(JSON.stringify(made)));
  });
});

describe('POST /v1/responses/input_tokens', () => {
  it('counts what the model would read', async () => {
    const { ask, call } = await gatewayThatSays('ok');
    const body = { input: 'How long is this?', instructions: 'Be exact.' };
    const counted = await call('POST', '/v1/responses/input_tokens', { model: MODEL, ...body });
    expect(problemsBy('TokenCountsResource', counted.body)).toEqual([]);
    expect(counted.body['input_tokens']).toBe((await ask(body)).usage?.input_tokens);
  });
});

describe('a response in the background', () => {
  /** Says a token for each time that the test lets it go on. */
  function haltingModel(text: string) {
    const gates = tokenizer.encode(text).length + 1;
    const waiting = Array.from({ length: gates }, () => Promise.withResolvers<void>());
    let open = 0;
    const endpoint = new ScriptedEndpoint(async function* (_, call) {
      let next = 0;
      for (const event of says(tokenizer, text)) {
        const signal = endpoint.signals[call] ?? AbortSignal.abort();
        signal.throwIfAborted();
        if (event.type === 'tokens') await Promise.race([waiting[next++]?.promise, untilAborted(signal)]);
        yield event;
      }
    });
    return {
      endpoint,
      goOn: (count = gates) => {
        for (const end = Math.min(gates, open + count); open < end; open += 1) waiting[open]?.resolve();
      },
    };
  }

  async function start(text: string, body: object = {}) {
    const model = haltingModel(text);
    const { app, post } = await createTestGateway(model.endpoint, {}, loadServerConfig);
    const get = async (path: string, method = 'GET') => app.request(path, { method, headers });
    const read = async (id: string) => (await (await get(`/v1/responses/${id}`)).json()) as WireResponse;
    const untilEnded = async (id: string) => {
      for (;;) {
        const response = await read(id);
        if (response.status !== 'queued' && response.status !== 'in_progress') return response;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    const answer = await post('/v1/responses', { model: MODEL, input: 'Hi', background: true, ...body });
    return { ...model, answer, get, read, untilEnded };
  }

  it('is queued at once, made without anybody, and then there', async () => {
    const { answer, goOn, read, untilEnded } = await start('All of it');
    const queued = (await answer.json()) as WireResponse;
    expect(problemsBy('Response', queued)).toEqual([]);
    expect(queued).toMatchObject({ status: 'queued', background: true });
    expect(['queued', 'in_progress']).toContain((await read(queued.id)).status);
    goOn();
    const ended = await untilEnded(queued.id);
    expect(problemsBy('Response', ended)).toEqual([]);
    expect(ended).toMatchObject({ id: queued.id, status: 'completed' });
    expect(textOf(ended)).toBe('All of it');
  });

  it('can be read from any event on, while it is made and afterwards, without loss', async () => {
    const text = 'Straße 日本語 👩‍👩‍👧 done';
    const { answer, goOn, get } = await start(text, { stream: true });
    goOn(2);
    const reader = answer.body?.getReader();
    const first = new TextDecoder().decode((await reader?.read())?.value);
    const id = /"id":"(resp_[^"]+)"/.exec(first)?.[1] ?? '';
    await reader?.cancel(); // the client is gone; the response is not
    const following = get(`/v1/responses/${id}?stream=true&starting_after=2`);
    goOn();
    const numbersOf = (raw: string) => [...raw.matchAll(/"sequence_number":(\d+)/g)].map((match) => Number(match[1]));
    const rest = await (await following).text();
    const all = await (await get(`/v1/responses/${id}?stream=true`)).text();
    const count = numbersOf(all).length;
    expect(numbersOf(all)).toEqual(Array.from({ length: count }, (_, index) => index));
    expect(numbersOf(rest)).toEqual(Array.from({ length: count - 3 }, (_, index) => index + 3));
    expect(all.endsWith(rest)).toBe(true);
    expect(all).toContain('event: response.queued');
    const events = await readNamedEvents(new Response(all, { headers: { 'content-type': 'text/event-stream; charset=utf-8' } }));
    expect(events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('')).toBe(text);
  });

  it('is answered again as it was by the same Idempotency-Key, whole or streamed', async () => {
    const { endpoint, goOn } = haltingModel('All of it');
    const { app } = await createTestGateway(endpoint, {}, loadServerConfig);
    const ask = (key: string, stream: boolean) =>
      app.request('/v1/responses', {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify({ model: MODEL, input: 'Hi', background: true, stream }),
      });
    const first = await ask('whole', false);
    const meanwhile = await ask('whole', false);
    const streamed = await ask('streamed', true);
    goOn();
    const queued = await first.text();
    for (const again of [meanwhile, await ask('whole', false)]) {
      expect(again.headers.get('content-type')).toBe('application/json');
      expect(await again.text()).toBe(queued);
    }
    const events = await streamed.text();
    expect(events).toContain('event: response.completed');
    expect(await (await ask('streamed', true)).text()).toBe(events);
    expect(endpoint.requests).toHaveLength(2);
  });

  it('is cancelled, says so, and stops the endpoint', async () => {
    const { answer, endpoint, goOn, get } = await start('Never to its end');
    const { id } = (await answer.json()) as WireResponse;
    goOn(1);
    const cancelled = (await (await get(`/v1/responses/${id}/cancel`, 'POST')).json()) as WireResponse;
    expect(problemsBy('Response', cancelled)).toEqual([]);
    expect(cancelled.status).toBe('cancelled');
    goOn();
    await expect.poll(() => endpoint.closed).toBe(1);
    expect(((await (await get(`/v1/responses/${id}/cancel`, 'POST')).json()) as WireResponse).status).toBe('cancelled');
  });

  it('that is deleted does not come back when it ends', async () => {
    const { answer, endpoint, goOn, get } = await start('Gone');
    const { id } = (await answer.json()) as WireResponse;
    expect((await get(`/v1/responses/${id}`, 'DELETE')).status).toBe(200);
    goOn();
    await expect.poll(() => endpoint.closed).toBe(1);
    expect((await get(`/v1/responses/${id}`)).status).toBe(404);
  });

  it('that fails says why', async () => {
    const { app, post } = await createTestGateway(
      new ScriptedEndpoint(() => {
        throw new EndpointRefusedError('No.');
      }),
      {},
      loadServerConfig,
    );
    const { id } = (await (await post('/v1/responses', { model: MODEL, input: 'x', background: true })).json()) as WireResponse;
    const status = async () => ((await (await app.request(`/v1/responses/${id}`, { headers })).json()) as WireResponse).status;
    await expect.poll(status).toBe('failed');
  });

  it('is refused without store, and its stream for one that was made otherwise', async () => {
    const { ask, call } = await gatewayThatSays('x');
    expect((await call('POST', '/v1/responses', { model: MODEL, input: 'x', background: true, store: false })).body.error).toMatchObject({
      param: 'store',
    });
    const { id } = await ask({ input: 'x' });
    expect((await call('GET', `/v1/responses/${id}?stream=true`)).body.error).toMatchObject({ param: 'stream' });
    expect((await call('POST', `/v1/responses/${id}/cancel`)).status).toBe(400);
  });
});
