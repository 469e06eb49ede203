import { beforeAll, describe, expect, it } from 'vitest';
import type { Tokenizer } from '../../../layers/tokenizer/index.ts';
import { createTestGateway, TEST_KEY } from '../../support/gateway.ts';
import { problemsBy } from '../../support/openai-schemas.ts';
import { ScriptedEndpoint } from '../../support/scripted-endpoint.ts';
import { loadModelTokenizer, MODEL, says } from '../../support/scripted-model.ts';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadModelTokenizer();
});

type Json = Record<string, unknown> & { readonly id: string; readonly data: readonly Json[] };

async function open() {
  const endpoint = new ScriptedEndpoint((_, call) => says(tokenizer, `answer ${call}`));
  const { app } = await createTestGateway(endpoint);
  const headers = { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' };
  const call = async (method: string, path: string, body?: unknown) => {
    const response = await app.request(path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    return { status: response.status, body: (await response.json()) as Json };
  };
  return { call, endpoint };
}

const say = (text: string) => ({ role: 'user', content: text });

describe('/v1/conversations', () => {
  it('is made, read, changed and deleted, in OpenAI’s shapes', async () => {
    const { call } = await open();
    const made = await call('POST', '/v1/conversations', { metadata: { topic: 'x' }, items: [say('Hello')] });
    expect(problemsBy('ConversationResource', made.body)).toEqual([]);
    const path = `/v1/conversations/${made.body.id}`;
    expect((await call('GET', path)).body).toEqual(made.body);
    expect((await call('POST', path, { metadata: { topic: 'y' } })).body).toMatchObject({ metadata: { topic: 'y' } });
    const deleted = await call('DELETE', path);
    expect(problemsBy('DeletedConversationResource', deleted.body)).toEqual([]);
    for (const [method, rest] of [
      ['GET', ''],
      ['DELETE', ''],
      ['GET', '/items'],
    ] as const) {
      const answer = await call(method, path + rest);
      expect(answer.status).toBe(404);
      expect(problemsBy('ErrorResponse', answer.body)).toEqual([]);
    }
  });

  it('is made by an empty request too', async () => {
    const { call } = await open();
    expect((await call('POST', '/v1/conversations')).status).toBe(200);
    expect((await call('POST', '/v1/conversations', {})).status).toBe(200);
  });

  it('lists its items in pages, both ways, and gives and deletes single ones', async () => {
    const { call } = await open();
    const { id } = (await call('POST', '/v1/conversations', {})).body;
    const path = `/v1/conversations/${id}/items`;
    const added = await call('POST', path, { items: ['a', 'b', 'c', 'd'].map(say) });
    expect(problemsBy('ConversationItemList', added.body)).toEqual([]);
    const texts = (page: Json) => page.data.map((item) => (item['content'] as { text: string }[])[0]?.text);
    const newest = await call('GET', `${path}?limit=3`);
    expect([texts(newest.body), newest.body['has_more']]).toEqual([['d', 'c', 'b'], true]);
    const rest = await call('GET', `${path}?limit=3&after=${newest.body['last_id']}`);
    expect([texts(rest.body), rest.body['has_more']]).toEqual([['a'], false]);
    const oldest = await call('GET', `${path}?limit=2&order=asc`);
    expect(texts(oldest.body)).toEqual(['a', 'b']);
    expect(texts((await call('GET', `${path}?order=asc&after=${oldest.body['last_id']}`)).body)).toEqual(['c', 'd']);
    const first = `${path}/${oldest.body['first_id']}`;
    const item = await call('GET', first);
    expect(problemsBy('ConversationItem', item.body)).toEqual([]);
    expect((await call('DELETE', first)).body.id).toBe(id);
    expect((await call('GET', first)).status).toBe(404);
    expect(texts((await call('GET', `${path}?order=asc`)).body)).toEqual(['b', 'c', 'd']);
  });

  it('loses none of what many add at once', async () => {
    const { call } = await open();
    const { id } = (await call('POST', '/v1/conversations', {})).body;
    const path = `/v1/conversations/${id}/items`;
    await Promise.all(Array.from({ length: 12 }, (_, writer) => call('POST', path, { items: [say(`${writer}a`), say(`${writer}b`)] })));
    const { body } = await call('GET', `${path}?limit=100&order=asc`);
    const texts = body.data.map((item) => (item['content'] as { text: string }[])[0]?.text ?? '');
    expect(new Set(texts).size).toBe(24);
    // What one writer added stays together.
    for (let index = 0; index < 24; index += 2) expect(texts[index + 1]).toBe(texts[index]?.replace('a', 'b'));
  });

  it.each([
    [{ items: Array.from({ length: 21 }, () => say('x')) }, 'items'],
    [{ items: [{ type: 'item_reference', id: 'msg_1' }] }, 'items.0.type'],
    [{ metadata: { a: 1 } }, 'metadata.a'],
    [{ unknown: 1 }, 'unknown'],
  ])('refuses %j', async (body, param) => {
    const { call } = await open();
    const answer = await call('POST', '/v1/conversations', body);
    expect(answer.status).toBe(400);
    expect(answer.body['error']).toMatchObject({ param });
  });

  it('refuses an item that is there already', async () => {
    const { call } = await open();
    const { id } = (await call('POST', '/v1/conversations', { items: [{ ...say('x'), id: 'msg_mine' }] })).body;
    const again = await call('POST', `/v1/conversations/${id}/items`, { items: [{ ...say('y'), id: 'msg_mine' }] });
    expect(again.status).toBe(400);
  });
});

describe('a response in a conversation', () => {
  it('reads what was said and adds what it heard and said', async () => {
    const { call, endpoint } = await open();
    const { id } = (await call('POST', '/v1/conversations', { items: [say('Remember 7')] })).body;
    for (const conversation of [id, { id }]) {
      const answer = await call('POST', '/v1/responses', { model: MODEL, conversation, input: 'Which?' });
      expect(answer.body['conversation']).toEqual({ id });
    }
    expect(tokenizer.decode(endpoint.requests[1]?.promptTokenIds ?? [])).toContain(
      'user\nRemember 7<|im_end|>\n<|im_start|>user\nWhich?<|im_end|>\n<|im_start|>assistant\nanswer 0<|im_end|>\n<|im_start|>user\nWhich?',
    );
    const { body } = await call('GET', `/v1/conversations/${id}/items`);
    expect(problemsBy('ConversationItemList', body)).toEqual([]);
    expect(body.data).toHaveLength(5);
  });

  it('is refused where there is no such conversation', async () => {
    const { call } = await open();
    expect((await call('POST', '/v1/responses', { model: MODEL, conversation: 'conv_none', input: 'x' })).status).toBe(404);
  });
});

describe('ids that are none', () => {
  it('name nothing, however they look and however long they are', async () => {
    const { call } = await open();
    const { id } = (await call('POST', '/v1/conversations', { items: [{ ...say('x'), id: 'head' }] })).body;
    // The names of a conversation's items lie beside it; an item that is called like its row is not a conversation.
    for (const path of [`${id}%2Fnames`, `${id}%2Fitems`, '%00', 'x'.repeat(5000), '__proto__']) {
      for (const [method, rest, body] of [
        ['GET', '', undefined],
        ['DELETE', '', undefined],
        ['POST', '', { metadata: {} }],
        ['POST', '/items', { items: [say('y')] }],
      ] as const) {
        const answer = await call(method, `/v1/conversations/${path}${rest}`, body);
        expect(answer.status, `${method} ${path.slice(0, 80)}${rest}`).toBe(404);
        expect(problemsBy('ErrorResponse', answer.body)).toEqual([]);
      }
      expect((await call('GET', `/v1/responses/${path}`)).status).toBe(404);
      expect((await call('GET', `/v1/conversations/${id}/items/${path}`)).status).toBe(404);
      expect(
        (await call('POST', '/v1/responses', { model: MODEL, input: 'x', previous_response_id: decodeURIComponent(path) })).status,
      ).toBe(400);
    }
  });
});
