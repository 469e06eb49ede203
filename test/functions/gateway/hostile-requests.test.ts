import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Tokenizer } from '../../../layers/tokenizer/index.ts';
import { catalog } from '../../../models/catalog.ts';
import { createTestGateway, TEST_KEY } from '../../support/gateway.ts';
import { problemsBy } from '../../support/openai-schemas.ts';
import { ScriptedEndpoint } from '../../support/scripted-endpoint.ts';
import { loadModelTokenizer, MODEL, says } from '../../support/scripted-model.ts';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadModelTokenizer();
});

const tool = { type: 'function', function: { name: 'f', description: 'd', parameters: { type: 'object' }, strict: true } };
/** A good request of each path that takes a body, with as many fields as it has. */
const requests: Readonly<Record<string, object>> = {
  '/v1/chat/completions': {
    messages: [
      { role: 'system', content: 'x' },
      { role: 'user', content: [{ type: 'text', text: 'x' }], name: 'n' },
      { role: 'assistant', content: null, tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }] },
      { role: 'tool', content: 'x', tool_call_id: 'c' },
    ],
    ...{
      max_tokens: 5,
      temperature: 0.5,
      top_p: 0.5,
      n: 1,
      stop: ['a'],
      seed: 1,
      logit_bias: { '5': 1 },
      user: 'u',
      logprobs: true,
      top_logprobs: 1,
    },
    ...{
      tools: [tool],
      tool_choice: 'none',
      response_format: { type: 'text' },
      stream_options: { include_usage: true },
      metadata: { a: 'b' },
    },
  },
  '/v1/completions': { prompt: 'x', max_tokens: 5, logprobs: 1, stop: 'a', n: 1 },
  '/v1/responses': {
    input: [
      { role: 'user', content: [{ type: 'input_text', text: 'x' }] },
      { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c', output: 'x' },
      { type: 'reasoning', id: 'r', summary: [{ type: 'summary_text', text: 'x' }] },
    ],
    ...{ instructions: 'x', tools: [{ type: 'function', name: 'f', parameters: { type: 'object' }, strict: true }], tool_choice: 'none' },
    ...{
      text: { format: { type: 'text' } },
      include: [],
      metadata: {},
      max_output_tokens: 5,
      truncation: 'auto',
      reasoning: { effort: 'low' },
    },
  },
  '/v1/responses/input_tokens': { input: 'x', instructions: 'x' },
  '/v1/conversations': { items: [{ role: 'user', content: 'x' }], metadata: { a: 'b' } },
  '/v1/embeddings': { input: ['x'], encoding_format: 'float', dimensions: 3, user: 'u' },
  '/v1/classify': { input: ['x'], labels: ['a', 'b'], examples: [{ input: 'x', label: 'a' }], multi_label: false, instruction: 'x' },
  '/tokenize': { prompt: 'x', add_special_tokens: true, return_token_strs: true },
  '/detokenize': { tokens: [1, 2] },
  '/score': { text_1: 'x', text_2: ['y'] },
  '/rerank': { query: 'x', documents: ['y', { text: 'z' }], top_n: 1 },
  '/v1/moderations': { model: 'any', input: ['x'] },
  '/v1/conversations/conv_x': { metadata: { a: 'b' } },
  '/v1/conversations/conv_x/items': { items: [{ role: 'user', content: 'x' }] },
  '/v1/admin/api_keys': { name: 'a', scopes: ['generate'], models: [MODEL], limits: { tokens_per_minute: 5 }, expires_in_seconds: 60 },
  '/v1/admin/api_keys/key_x': { name: 'a', priority: 'low' },
  '/v1/admin/api_keys/key_x/rotate': { grace_seconds: 1 },
  '/v1/admin/users/forget': { user: 'u' },
  '/v1/client_secrets': { device_key: { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' }, models: [MODEL], max_tokens: 5, expires_in_seconds: 60 },
};

const embedder = {
  ...{ task: 'embed', id: 'lines', created: 1, ownedBy: 'x', dimensions: 4, maxInputTokens: 256, takesTokenIds: false },
  endpoint: { name: 'penstock-embed' },
};
const EMBEDDING_PATHS = ['/v1/embeddings', '/score', '/rerank'];
/** What belongs to no model of the catalog. */
const WITHOUT_MODEL = /^\/v1\/(?:conversations|admin|client_secrets|moderations)/;

const bodyOf = (path: string) => ({
  ...(WITHOUT_MODEL.test(path) ? {} : { model: EMBEDDING_PATHS.includes(path) ? embedder.id : MODEL }),
  ...requests[path],
});

async function startGateway() {
  const catalogFile = join(tmpdir(), `penstock-hostile-${process.pid}.json`);
  writeFileSync(catalogFile, JSON.stringify([...catalog, embedder]));
  const endpoint = new ScriptedEndpoint(() => says(tokenizer, 'ok'), {
    score: ({ prompts }) =>
      prompts.map((prompt) => prompt.map((tokenId, at) => (at === 0 ? undefined : { tokenId, logprob: -1, top: [] }))),
    embed: ({ input }) => ({ embeddings: input.map(() => Float32Array.of(0.5, 0.5, 0.5, 0.5)), promptTokens: input.length }),
  });
  return await createTestGateway(endpoint, { PENSTOCK_CATALOG: catalogFile });
}

/** Every place in a value where something else could stand. */
function placesIn(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, child]) => placesIn(child, [...path, Array.isArray(value) ? Number(key) : key]));
  return path.length === 0 ? inner : [path, ...inner];
}

function replaceAt(value: unknown, [key, ...rest]: readonly (string | number)[], replacement: unknown): unknown {
  if (key === undefined) return replacement;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string | number, unknown>;
  copy[key] = replaceAt(copy[key], rest, replacement);
  return copy;
}

const odd = fc.oneof(
  fc.constantFrom(
    null,
    true,
    0,
    -1,
    1e308,
    2 ** 53,
    '',
    'x',
    '\ud800',
    [],
    [null],
    {},
    { type: 'text' },
    { __proto__: null, constructor: 1 },
    [[[]]],
  ),
  fc.jsonValue({ maxDepth: 3 }),
);

describe('requests with a field of the wrong type', () => {
  const mutated = fc.constantFrom(...Object.keys(requests)).chain((path) =>
    fc.record({
      path: fc.constant(path),
      changes: fc.array(fc.tuple(fc.constantFrom([], ...placesIn(bodyOf(path))), odd), { minLength: 1, maxLength: 2 }),
    }),
  );

  it('are answered or refused in OpenAI’s shape, on every path, and never crash', { timeout: 120_000 }, async () => {
    const { post, logged } = await startGateway();
    await fc.assert(
      fc.asyncProperty(mutated, async ({ path, changes }) => {
        const body = changes.reduce<unknown>((value, [place, replacement]) => replaceAt(value, place, replacement), bodyOf(path));
        await expectAnswer(await post(path, body), () => `${path} ${JSON.stringify(body)} ${JSON.stringify(logged.at(-1))}`);
      }),
      { numRuns: 2000 },
    );
  });

  it('are good requests without the change', async () => {
    const { post } = await startGateway();
    for (const path of Object.keys(requests)) {
      const response = await post(path, bodyOf(path));
      const text = await response.text();
      // Nothing has these names here.
      const expected = /_x(?:\/|$)/.test(path) ? 404 : path === '/v1/admin/api_keys' ? 201 : 200;
      expect(response.status, `${path} ${text}`).toBe(expected);
    }
  });
});

describe('paths, queries and headers that nobody asked for', () => {
  const segment = fc.oneof(
    fc.constantFrom('..', '.', '%00', '%', '%zz', '%2e%2e%2f', 'a/b:c', '__proto__', 'resp_\ud83d\ude00', '{}', ' ', 'x'.repeat(2_000)),
    fc.string({ unit: 'binary', maxLength: 12 }),
  );
  const templates = [
    ...['/v1/models/:', '/v1/responses/:', '/v1/responses/:/input_items', '/v1/responses/:/cancel', '/v1/conversations/:'],
    ...['/v1/conversations/:/items', '/v1/conversations/:/items/:', '/v1/generations/:/events', '/v1/generations/:', '/v1/usage'],
    ...['/v1/admin/api_keys/:', '/v1/admin/projects/:/limits', '/v1/client_secrets/:', '/v1/:', '/:'],
  ];
  const names = ['limit', 'order', 'after', 'stream', 'starting_after', 'include', 'format', 'from', 'to', 'group_by', 'x[]'];
  const odds = fc.record({
    method: fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD'),
    template: fc.constantFrom(...templates),
    segments: fc.tuple(segment, segment),
    query: fc.array(fc.tuple(fc.constantFrom(...names), segment), { maxLength: 3 }),
    headers: fc.dictionary(
      fc.constantFrom(
        'idempotency-key',
        'last-event-id',
        'x-penstock-lease',
        'x-penstock-session',
        'content-type',
        'accept',
        'dpop',
        'origin',
      ),
      fc.string({ maxLength: 20 }),
    ),
    raw: fc.boolean(),
  });

  it('are answered or refused in OpenAI’s shape too', { timeout: 120_000 }, async () => {
    const { app, logged } = await startGateway();
    await fc.assert(
      fc.asyncProperty(odds, async ({ method, template, segments, query, headers, raw }) => {
        const [first, second] = segments.map((text) => (raw ? text.replaceAll(/[?#\s]/g, '') : encodeURIComponent(text.toWellFormed())));
        const path = template.replace(':', first ?? '').replace(':', second ?? '');
        const search = new URLSearchParams(query);
        const init = { method, headers: { ...headers, authorization: `Bearer ${TEST_KEY}` } };
        const request = new Request(`http://127.0.0.1${path}?${search}`, init);
        const response = await app.request(request);
        if (method !== 'HEAD') await expectAnswer(response, () => `${method} ${path}?${search} ${JSON.stringify(logged.at(-1))}`);
        expect(response.status).toBeLessThan(500);
      }),
      { numRuns: 1500 },
    );
  });
});

/** An answer, or an error of the caller with all four fields. */
async function expectAnswer(response: Response, describeRequest: () => string): Promise<void> {
  const text = await response.text();
  expect(response.status, `${describeRequest()} ${text}`).toBeLessThan(500);
  if (response.status >= 400) expect(problemsBy('ErrorResponse', JSON.parse(text))).toEqual([]);
}

describe('errors of every path', () => {
  it('have all four fields, a request id and CORS headers: also without a key, on unknown paths, and for wrong methods', async () => {
    const { app } = await createTestGateway(new ScriptedEndpoint(() => []));
    const key = { authorization: `Bearer ${TEST_KEY}` };
    const paths = [
      ...Object.keys(requests),
      '/v1/models',
      '/v1/nowhere',
      '/nowhere',
      '/v1/responses/resp_x',
      '/v1/conversations/conv_x/items',
    ];
    for (const path of paths) {
      for (const init of [
        { method: 'POST' },
        { method: 'PATCH', headers: key },
        { method: 'POST', headers: key, body: '{' },
        { method: 'DELETE', headers: key },
      ]) {
        const response = await app.request(path, init);
        const body = await response.json();
        expect(problemsBy('ErrorResponse', body), `${init.method} ${path}: ${response.status}`).toEqual([]);
        expect([400, 401, 404, 405, 415], `${init.method} ${path}`).toContain(response.status);
        expect(response.headers.get('x-request-id')).toMatch(/^req_/);
        expect(response.headers.get('access-control-allow-origin')).toBe('*');
        expect(response.headers.get('openai-processing-ms')).toMatch(/^\d+$/);
      }
    }
  });
});

describe('values that go down without end', () => {
  it('are refused or answered, wherever a body may hold any value', async () => {
    const { post } = await startGateway();
    const deep = (opening: string, closing: string, levels: number) => `${opening.repeat(levels)}true${closing.repeat(levels)}`;
    const values = [90, 50_000].flatMap((levels) =>
      [
        ['{"items":', '}'],
        ['{"a":', '}'],
        ['[', ']'],
        ['{"anyOf":[', ']}'],
      ].map(([opening = '', closing = '']) => deep(opening, closing, levels)),
    );
    const messages = '"messages":[{"role":"user","content":"x"}]';
    for (const value of values) {
      for (const [path, fields] of [
        ['/v1/chat/completions', `${messages},"tools":[{"type":"function","function":{"name":"f","parameters":${value}}}]`],
        ['/v1/chat/completions', `${messages},"response_format":{"type":"json_schema","json_schema":{"name":"f","schema":${value}}}`],
        ['/v1/chat/completions', `${messages},"prediction":${value}`],
        ['/v1/chat/completions', `${messages},"metadata":${value}`],
        ['/v1/chat/completions', `"messages":${value}`],
        ['/v1/responses', `"input":"x","tools":[{"type":"function","name":"f","parameters":${value}}]`],
        ['/v1/responses', `"input":"x","text":{"format":{"type":"json_schema","name":"f","schema":${value}}}`],
        ['/v1/responses', `"input":${value}`],
        ['/v1/completions', `"prompt":${value}`],
        ['/tokenize', `${messages},"tools":[{"type":"function","function":{"name":"f","parameters":${value}}}]`],
      ]) {
        await expectAnswer(await post(path ?? '', `{"model":"${MODEL}",${fields}}`), () => `${path} ${fields?.slice(0, 120)}`);
      }
    }
  });
});
