import { describe, expect, it } from 'vitest';
import { createGenerationGateway, readStream } from '../../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

describe('limits', () => {
  it('lets 200 streams at once use no token more than 1,000, and accounts for every one', async () => {
    const endpoint = new ToyEndpoint();
    const gateway = await createGenerationGateway(endpoint);
    const { key } = await gateway.createKey({ tokens_total: 1_000 });
    const answers = await Promise.all(Array.from({ length: 200 }, () => gateway.complete({ max_tokens: 40, stream: true }, { key })));
    const served = await Promise.all(answers.filter((answer) => answer.status === 200).map(readStream));
    const usage = await gateway.usage();
    const used = usage.reduce((sum, line) => sum + line.prompt_tokens + line.completion_tokens, 0);
    expect(used).toBeLessThanOrEqual(1_000);
    expect(used).toBeGreaterThan(990);
    expect(usage.reduce((sum, line) => sum + line.completion_tokens, 0)).toBe(endpoint.generatedTokens);
    expect(served.every((stream) => stream.finishReason === 'length' && stream.error === undefined)).toBe(true);
    for (const refused of answers.filter((answer) => answer.status !== 200)) {
      expect(refused.status).toBe(429);
      expect(await refused.json()).toMatchObject({ error: { code: 'insufficient_quota' } });
    }
  });

  it('cuts a running stream where the budget ends, with a true finish reason', async () => {
    const endpoint = new ToyEndpoint();
    const gateway = await createGenerationGateway(endpoint);
    const { key } = await gateway.createKey({ tokens_per_day: 20 });
    const { finishReason, bytes } = await readStream(
      await gateway.complete({ max_tokens: 50, stream: true, stream_options: { include_usage: true } }, { key }),
    );
    expect(finishReason).toBe('length');
    expect(bytes).toContain('"completion_tokens":17');
    expect(bytes).toContain('[DONE]');
    expect(await gateway.usage()).toMatchObject([{ status: 'cut', prompt_tokens: 3, completion_tokens: 17 }]);
    expect(endpoint.generatedTokens).toBe(17);
  });

  it('holds more as an answer without a limit of its own grows, until there is no more', async () => {
    const endpoint = new ToyEndpoint();
    const gateway = await createGenerationGateway(endpoint);
    const { key } = await gateway.createKey({ tokens_total: 2_500 });
    const response = await gateway.call('POST', '/v1/chat/completions', {
      key,
      body: { model: 'smollm2-135m-instruct', messages: [{ role: 'user', content: 'Hi' }], stream: true },
    });
    expect((await readStream(response)).finishReason).toBe('length');
    const [line] = await gateway.usage();
    expect(line?.status).toBe('cut');
    expect((line?.prompt_tokens ?? 0) + (line?.completion_tokens ?? 0)).toBe(2_500);
  });

  it('tells the truth in its headers', async () => {
    const gateway = await createGenerationGateway(new ToyEndpoint());
    const { key } = await gateway.createKey({ requests_per_minute: 2, tokens_per_minute: 100 });
    const first = await gateway.complete({ max_tokens: 12 }, { key });
    expect(Object.fromEntries([...first.headers].filter(([name]) => /^x-ratelimit-(limit|remaining)/.test(name)))).toEqual({
      'x-ratelimit-limit-requests': '2',
      'x-ratelimit-limit-tokens': '100',
      'x-ratelimit-remaining-requests': '1',
      'x-ratelimit-remaining-tokens': '85',
    });
    await first.text();
    await (await gateway.complete({ max_tokens: 12 }, { key })).text();
    const refused = await gateway.complete({ max_tokens: 12 }, { key });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60);
    expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('0');
    expect(await refused.json()).toMatchObject({ error: { code: 'rate_limit_exceeded', type: 'requests' } });
  });

  it('refunds what a client that left did not take', async () => {
    const endpoint = new ToyEndpoint();
    const gateway = await createGenerationGateway(endpoint);
    const { key } = await gateway.createKey({ tokens_total: 1_000 });
    const response = await gateway.complete({ max_tokens: 500, stream: true }, { key });
    const reader = response.body?.getReader();
    for (let read = 0; read < 5; read += 1) await reader?.read();
    await reader?.cancel();
    const [line] = await gateway.usage();
    expect(line?.status).toBe('cancelled');
    expect(line?.completion_tokens).toBe(endpoint.generatedTokens);
    expect(line?.completion_tokens).toBeLessThan(10);
    expect(endpoint.open).toBe(0);
    const next = await gateway.complete({ max_tokens: 900, stream: false }, { key });
    expect(next.status).toBe(200);
  });
});

describe('keys', () => {
  it('are admitted, limited to their models and scopes, rotated and revoked', async () => {
    const gateway = await createGenerationGateway(new ToyEndpoint());
    const { id, key } = await gateway.createKey({}, { models: ['another'] });
    expect((await gateway.complete({}, { key })).status).toBe(404);
    expect((await gateway.call('GET', '/v1/admin/api_keys', { key })).status).toBe(403);
    const list = await (await gateway.call('GET', '/v1/admin/api_keys')).text();
    expect(list).toContain(key.slice(0, 12));
    expect(list).not.toContain(key);
    await gateway.call('POST', `/v1/admin/api_keys/${id}`, { body: { models: null } });
    expect((await gateway.complete({}, { key })).status).toBe(200);
    const rotated = (await (await gateway.call('POST', `/v1/admin/api_keys/${id}/rotate`, { body: { grace_seconds: 0 } })).json()) as {
      id: string;
      key: string;
    };
    expect(rotated.id).toBe(id);
    expect((await gateway.complete({}, { key })).status).toBe(401);
    expect((await gateway.complete({}, { key: rotated.key })).status).toBe(200);
    expect((await gateway.call('DELETE', `/v1/admin/api_keys/${id}`)).status).toBe(200);
    expect((await gateway.complete({}, { key: rotated.key })).status).toBe(401);
    expect(JSON.stringify(gateway.logged)).not.toContain('sk-pen-');
  });

  it('share the limits of their project and organisation', async () => {
    const gateway = await createGenerationGateway(new ToyEndpoint());
    await gateway.call('PUT', '/v1/admin/projects/app/limits', { body: { tokens_total: 40 } });
    const one = await gateway.createKey({}, { project_id: 'app' });
    const other = await gateway.createKey({}, { project_id: 'app' });
    expect((await gateway.complete({ max_tokens: 30 }, { key: one.key })).status).toBe(200);
    const cut = await readStream(await gateway.complete({ max_tokens: 30, stream: true }, { key: other.key }));
    expect(cut.finishReason).toBe('length');
    expect((await gateway.complete({}, { key: one.key })).status).toBe(429);
  });

  it('show their usage by day, model, key and project, as JSON and CSV', async () => {
    const gateway = await createGenerationGateway(new ToyEndpoint());
    const { key } = await gateway.createKey();
    await (await gateway.complete({ max_tokens: 4 }, { key })).text();
    await (await gateway.complete({ max_tokens: 5 }, { key })).text();
    const day = new Date().toISOString().slice(0, 10);
    const sums = await (await gateway.call('GET', '/v1/usage?group_by=day,model')).json();
    expect(sums).toMatchObject({ data: [{ day, model: 'smollm2-135m-instruct', requests: 2, prompt_tokens: 6, completion_tokens: 9 }] });
    const csv = await (await gateway.call('GET', '/v1/usage?group_by=model&format=csv')).text();
    expect(csv).toMatch(
      /^model,requests,prompt_tokens,cached_prompt_tokens,completion_tokens,busy_seconds,cost_dollars,own_cost_dollars\r\nsmollm2-135m-instruct,2,6,0,9,[\d.]+,0,\r\n$/,
    );
    expect((await gateway.call('GET', '/v1/usage?group_by=colour')).status).toBe(400);
  });
});
