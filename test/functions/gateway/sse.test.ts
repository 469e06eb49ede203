/** Streams as bytes: what a parser of server-sent events and OpenAI's own client make of them. https://html.spec.whatwg.org/multipage/server-sent-events.html */
import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import OpenAI from 'openai';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../functions/gateway/config.ts';
import { EndpointUnavailableError } from '../../../functions/gateway/errors.ts';
import type { EndpointEvent } from '../../../functions/gateway/services.ts';
import type { Tokenizer } from '../../../layers/tokenizer/index.ts';
import { createTestGateway, TEST_KEY } from '../../support/gateway.ts';
import { judgeAnswer } from '../../support/openai-answers.ts';
import { ScriptedEndpoint } from '../../support/scripted-endpoint.ts';
import { loadModelTokenizer, MODEL, says } from '../../support/scripted-model.ts';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadModelTokenizer();
});

type Script = () => AsyncIterable<EndpointEvent> | Iterable<EndpointEvent>;
const BODIES = {
  '/v1/chat/completions': { messages: [{ role: 'user', content: 'Hi' }], stream: true },
  '/v1/completions': { prompt: 'Hi', max_tokens: 200, stream: true },
  '/v1/responses': { input: 'Hi', stream: true },
} as const;

async function stream(path: keyof typeof BODIES, script: Script, keepAliveMs = 5_000) {
  const load = (environment: Readonly<Record<string, string>>) => ({ ...loadConfig(environment), keepAliveMs });
  const { post } = await createTestGateway(new ScriptedEndpoint(script), {}, load);
  const response = await post(path, { model: MODEL, ...BODIES[path] });
  return { response, bytes: new Uint8Array(await response.arrayBuffer()) };
}

/** @param sizes of the pieces in which the bytes come. */
function parse(bytes: Uint8Array, sizes: readonly number[] = []) {
  const events: { id: string | undefined; event: string | undefined; data: string }[] = [];
  const parser = createParser({
    onEvent: ({ id, event, data }) => events.push({ id, event, data }),
    onError: (error) => expect.fail(error.message),
  });
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
  let at = 0;
  for (const size of [...sizes, bytes.length]) {
    parser.feed(decoder.decode(bytes.subarray(at, at + size), { stream: true }));
    at += size;
  }
  return events;
}

/** What an event says, in whichever of the three forms. */
function textOf(data: string): string {
  if (data === '[DONE]') return '';
  const value = JSON.parse(data) as { type?: string; delta?: string; choices?: { text?: string; delta?: { content?: string } }[] };
  if (value.type !== undefined) return value.type === 'response.output_text.delta' ? (value.delta ?? '') : '';
  return value.choices?.[0]?.text ?? value.choices?.[0]?.delta?.content ?? '';
}

/** Line ends of every kind, marks of the format itself, and characters of many bytes. */
const HOSTILE = 'a\nb\r\nc\rd\u2028e\u2029f\u0085g\n\ndata: [DONE]\n\nevent: x\nid: 9\n: comment\n\u0000 👩‍👩‍👧 日本 "\\';
const paths = Object.keys(BODIES) as (keyof typeof BODIES)[];

describe.each(paths)('the stream of %s', (path) => {
  it('has the headers that proxies and browsers need', async () => {
    const { response } = await stream(path, () => says(tokenizer, 'Hello.'));
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('cache-control')).toContain('no-cache');
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    expect(response.headers.get('x-request-id')).toMatch(/^req_/);
  });

  it('is UTF-8 with bare line feeds, events numbered from 1, each of them as OpenAI’s document has it', async () => {
    const { bytes } = await stream(path, () => says(tokenizer, HOSTILE));
    const text = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true }).decode(bytes);
    expect(text).not.toMatch(/\r|^\ufeff/);
    expect(text.endsWith('\n\n')).toBe(true);
    const events = parse(bytes);
    expect(events.map(({ id }) => Number(id))).toEqual(events.map((_, index) => index + 1));
    const answer = { method: 'POST', path, status: 200, contentType: 'text/event-stream', body: text };
    expect(judgeAnswer(answer).problems).toEqual([]);
  });

  it('says what the model said, whatever it says and however the bytes come', async () => {
    const { bytes } = await stream(path, () => says(tokenizer, HOSTILE));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 200 }), (sizes) => {
        const events = parse(bytes, sizes);
        expect(events.map(({ data }) => textOf(data)).join('')).toBe(HOSTILE);
      }),
      { numRuns: 50 },
    );
  });

  it('ends once, in its own way', async () => {
    const events = parse((await stream(path, () => says(tokenizer, HOSTILE))).bytes);
    const ends = events.filter(({ event, data }) => data === '[DONE]' || event === 'response.completed');
    expect(ends).toHaveLength(1);
    expect(ends[0]).toBe(events.at(-1));
    for (const { event, data } of events) {
      if (path !== '/v1/responses') expect(event).toBeUndefined();
      else expect(event).toBe((JSON.parse(data) as { type: string }).type);
    }
  });

  it('keeps silent connections open with comments that no client sees', async () => {
    const said = says(tokenizer, 'Slowly.');
    const script = async function* () {
      for (const event of said) {
        await new Promise((resolve) => setTimeout(resolve, 30));
        yield event;
      }
    };
    const { bytes } = await stream(path, script, 5);
    expect(new TextDecoder().decode(bytes)).toContain(': keep-alive\n\n');
    expect(
      parse(bytes)
        .map(({ data }) => textOf(data))
        .join(''),
    ).toBe('Slowly.');
  });

  it('tells of a failure in mid-stream, and does not pretend to be whole', async () => {
    const script = function* () {
      yield* says(tokenizer, 'The beginning').slice(0, 2);
      throw new EndpointUnavailableError('model-error', 'toy');
    };
    const events = parse((await stream(path, script)).bytes);
    expect(events.some(({ data }) => data === '[DONE]')).toBe(false);
    const last = JSON.parse(events.at(-1)?.data ?? '{}') as { type?: string; error?: object; response?: { status: string; error: object } };
    if (path === '/v1/responses') expect(last).toMatchObject({ type: 'response.failed', response: { status: 'failed' } });
    else expect(Object.keys(last.error ?? {}).sort()).toEqual(['code', 'message', 'param', 'type']);
  });
});

it('OpenAI’s own client reads hostile text as it was said', async () => {
  const { app } = await createTestGateway(new ScriptedEndpoint(() => says(tokenizer, HOSTILE)));
  const fetch = async (url: string | URL | Request, init?: RequestInit) => await app.request(new Request(url, init));
  const client = new OpenAI({ baseURL: 'http://localhost/v1', apiKey: TEST_KEY, maxRetries: 0, fetch });
  let text = '';
  for await (const chunk of await client.completions.create({ model: MODEL, prompt: 'Hi', max_tokens: 200, stream: true }))
    text += chunk.choices[0]?.text ?? '';
  expect(text).toBe(HOSTILE);
});
