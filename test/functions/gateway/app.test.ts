import { beforeAll, describe, expect, it } from 'vitest';
import type { App } from '../../../functions/gateway/app.ts';
import { createTestGateway, TEST_KEY } from '../../support/gateway.ts';
import { readJson } from '../../support/read-json.ts';
import { ScriptedEndpoint } from '../../support/scripted-endpoint.ts';

const MODEL = 'smollm2-135m-instruct';
let app: App;
let post: (path: string, body: unknown) => Promise<Response>;
const endpoint = new ScriptedEndpoint(() => [
  { type: 'tokens', tokenIds: [2] },
  { type: 'end', finishReason: 'stop' },
]);

beforeAll(async () => {
  ({ app, post } = await createTestGateway(endpoint, { MAX_BODY_BYTES: '2048' }));
});

async function errorOf(response: Response): Promise<{ message: string; type: string; param: string | null; code: string | null }> {
  const body = await readJson<{ error: { message: string; type: string; param: string | null; code: string | null } }>(response);
  expect(Object.keys(body)).toEqual(['error']);
  expect(Object.keys(body.error).sort()).toEqual(['code', 'message', 'param', 'type']);
  expect(response.headers.get('x-request-id')).toMatch(/^req_/);
  return body.error;
}

const chat = (fields: object) => ({ model: MODEL, messages: [{ role: 'user', content: 'Hi' }], ...fields });

describe('who may call', () => {
  it.each([
    ['no key', {}],
    ['a wrong key', { authorization: 'Bearer sk-wrong' }],
    ['another scheme', { authorization: `Basic ${TEST_KEY}` }],
    ['a key with a space', { authorization: `Bearer ${TEST_KEY} x` }],
  ])('answers 401 to %s', async (_, headers) => {
    const response = await app.request('/v1/models', { headers });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
    expect(await errorOf(response)).toMatchObject({ code: 'invalid_api_key', type: 'invalid_request_error' });
  });

  it('does not repeat a wrong key', async () => {
    const response = await app.request('/v1/models', { headers: { authorization: 'Bearer sk-very-secret' } });
    expect(await response.text()).not.toContain('sk-very-secret');
  });

  it('admits only what came through the CDN when an origin secret is set', async () => {
    const { createHash } = await import('node:crypto');
    const guarded = await createTestGateway(endpoint, {
      PENSTOCK_ORIGIN_SECRET_SHA256: createHash('sha256').update('edge-secret').digest('hex'),
    });
    const headers = { authorization: `Bearer ${TEST_KEY}` };
    expect((await guarded.app.request('/v1/models', { headers })).status).toBe(403);
    expect((await guarded.app.request('/v1/models', { headers: { ...headers, 'x-penstock-origin': 'guess' } })).status).toBe(403);
    expect((await guarded.app.request('/v1/models', { headers: { ...headers, 'x-penstock-origin': 'edge-secret' } })).status).toBe(200);
  });
});

describe('paths and methods', () => {
  const headers = { authorization: `Bearer ${TEST_KEY}` };

  it('lists the models and finds one', async () => {
    const list = await readJson<{ object: string; data: unknown[] }>(await app.request('/v1/models', { headers }));
    expect(list).toMatchObject({
      object: 'list',
      data: [{ id: MODEL, object: 'model', owned_by: 'huggingfacetb' }, { id: 'gpt-refined' }],
    });
    const one = await app.request(`/v1/models/${MODEL}`, { headers });
    expect(await one.json()).toEqual(list.data[0]);
  });

  it('answers 404 for an unknown model, also with a slash or percent sign in its name', async () => {
    for (const id of ['nope', 'org%2Fmodel', 'ft:gpt:org', 'a/b', '%E2%82']) {
      const response = await app.request(`/v1/models/${id}`, { headers });
      expect(response.status).toBe(404);
      expect(await errorOf(response)).toMatchObject({ code: 'model_not_found', param: 'model' });
    }
  });

  it('answers 404 for an unknown path and 405 for another method', async () => {
    expect(await errorOf(await app.request('/v2/nothing'))).toMatchObject({ code: 'unknown_url' });
    const response = await app.request('/v1/chat/completions', { method: 'PUT', headers });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('POST');
    expect(await errorOf(response)).toMatchObject({ code: 'method_not_allowed' });
  });

  it('tells whether it lives and is ready without a key', async () => {
    expect((await app.request('/healthz')).status).toBe(200);
    expect((await app.request('/readyz')).status).toBe(200);
  });

  it('answers a browser, its preflight and its errors', async () => {
    const preflight = await app.request('/v1/chat/completions', {
      method: 'OPTIONS',
      headers: {
        origin: 'https://app.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,x-stainless-os',
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-headers')).toBe('authorization,x-stainless-os');
    const refused = await app.request('/v1/models', { headers: { origin: 'https://app.example' } });
    expect(refused.status).toBe(401);
    expect(refused.headers.get('access-control-allow-origin')).toBe('*');
    expect(refused.headers.get('access-control-expose-headers')).toContain('x-request-id');
  });
});

describe('bad requests', () => {
  it.each([
    ['malformed JSON', '{"model":', null],
    ['an empty body', '', null],
    ['an array', [], null],
    ['no model', { messages: [{ role: 'user', content: 'x' }] }, 'model'],
    ['a number as model', chat({ model: 7 }), 'model'],
    ['no messages', { model: MODEL }, 'messages'],
    ['empty messages', chat({ messages: [] }), 'messages'],
    ['messages as text', chat({ messages: 'Hi' }), 'messages'],
    ['an unknown role', chat({ messages: [{ role: 'robot', content: 'x' }] }), 'messages.0.role'],
    ['no role', chat({ messages: [{ content: 'x' }] }), 'messages.0.role'],
    ['a number as content', chat({ messages: [{ role: 'user', content: 5 }] }), 'messages.0.content'],
    ['an image', chat({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] }), 'messages.0.content.0'],
    ['an unknown field', chat({ frobnicate: 1 }), 'frobnicate'],
    ['temperature 5', chat({ temperature: 5 }), 'temperature'],
    ['temperature as text', chat({ temperature: 'hot' }), 'temperature'],
    ['max_tokens 0', chat({ max_tokens: 0 }), 'max_tokens'],
    ['half a token', chat({ max_tokens: 1.5 }), 'max_tokens'],
    ['max_tokens over the context', chat({ max_tokens: 100_000 }), 'max_tokens'],
    ['n of 0', chat({ n: 0 }), 'n'],
    ['five stop sequences', chat({ stop: ['a', 'b', 'c', 'd', 'e'] }), 'stop'],
    ['a bias for a word', chat({ logit_bias: { hello: 1 } }), 'logit_bias.hello'],
    ['top_logprobs without logprobs', chat({ top_logprobs: 2 }), 'top_logprobs'],
  ])('answers 400 to %s and names the field', async (_, body, param) => {
    const response = await post('/v1/chat/completions', body);
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({ type: 'invalid_request_error', param });
  });

  it('names an image part by its type', async () => {
    const response = await post(
      '/v1/chat/completions',
      chat({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] }),
    );
    expect((await errorOf(response)).message).toContain('image_url');
  });

  it('answers 404 to an unknown model', async () => {
    const response = await post('/v1/chat/completions', chat({ model: 'gpt-nope' }));
    expect(response.status).toBe(404);
    expect(await errorOf(response)).toMatchObject({ code: 'model_not_found', param: 'model' });
  });

  it('says context_length_exceeded for a prompt that is too long', async () => {
    const wide = await createTestGateway(endpoint);
    const response = await wide.post('/v1/completions', { model: MODEL, prompt: 'word '.repeat(9000) });
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({ code: 'context_length_exceeded', param: 'prompt' });
  });

  it('refuses a token id that the vocabulary lacks, by its number', async () => {
    const response = await post('/v1/completions', { model: MODEL, prompt: [1, 49_152] });
    expect(response.status).toBe(400);
    expect((await errorOf(response)).message).toContain('49152');
  });

  it('answers 413 to a body over the limit and 415 to another content type', async () => {
    const large = await post('/v1/chat/completions', chat({ messages: [{ role: 'user', content: 'x'.repeat(3000) }] }));
    expect(large.status).toBe(413);
    expect(await errorOf(large)).toMatchObject({ code: 'request_too_large' });
    const form = await app.request('/v1/chat/completions', {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'text/plain' },
      body: JSON.stringify(chat({})),
    });
    expect(form.status).toBe(415);
    await errorOf(form);
  });
});
