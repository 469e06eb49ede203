import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createMemoryTable } from '../../../../functions/drivers/memory-table.ts';
import { EndpointUnavailableError } from '../../../../functions/gateway/errors.ts';
import type { Table } from '../../../../functions/gateway/services/table.ts';
import { createGenerationGateway, readStream, type TestGateway } from '../../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const clock = { now: Date.now };

/** Two gateway processes over one table; the second has no endpoint to speak of. */
async function twoGateways(
  endpoint = new ToyEndpoint(),
  config = {},
): Promise<{ one: TestGateway; other: TestGateway; unused: ToyEndpoint }> {
  const table = createMemoryTable(clock);
  const unused = new ToyEndpoint();
  const one = await createGenerationGateway(endpoint, { table, config });
  const other = await createGenerationGateway(unused, { table, config });
  return { one, other, unused };
}

function generationOf(response: Response): string {
  return response.headers.get('x-penstock-generation') ?? '';
}

/** Reads so many bytes of a stream and then drops the connection. */
async function readBytes(response: Response, count: number): Promise<string> {
  const reader = response.body?.getReader();
  let bytes = Buffer.alloc(0);
  while (bytes.length < count) {
    const read = await reader?.read();
    if (read?.value === undefined) break;
    bytes = Buffer.concat([bytes, read.value]);
  }
  await reader?.cancel();
  return bytes.subarray(0, count).toString();
}

/** The number of the last event that is whole, and where it ends: what an EventSource would send and keep. */
function lastWholeEvent(text: string): { id: number; end: number } {
  const end = text.lastIndexOf('\n\n') + 2;
  const ids = [...text.slice(0, Math.max(0, end)).matchAll(/^id: (\d+)$/gm)];
  return { id: Number(ids.at(-1)?.[1] ?? 0), end: ids.length === 0 ? 0 : end };
}

describe('resume', () => {
  it('gives the same bytes from another process, wherever the stream was cut, also inside an event', async () => {
    const { one, other, unused } = await twoGateways();
    const response = await one.complete({ stream: true, stream_options: { include_usage: true } });
    const whole = await response.text();
    expect(whole.endsWith('data: [DONE]\n\n')).toBe(true);
    for (let cut = 0; cut < whole.length; cut += 7) {
      const { id, end } = lastWholeEvent(whole.slice(0, cut));
      const resumed = await other.call('GET', `/v1/generations/${generationOf(response)}/events`, {
        headers: { 'last-event-id': String(id) },
      });
      expect(whole.slice(0, end) + (await resumed.text())).toBe(whole);
    }
    expect(unused.requests).toHaveLength(0);
  });

  it('follows an answer while another process makes it, for a client that left with a lease', async () => {
    const endpoint = new ToyEndpoint(undefined, () => sleep(3));
    const { one, other } = await twoGateways(endpoint);
    const response = await one.complete({ stream: true, max_tokens: 60 }, { headers: { 'x-penstock-lease': '30' } });
    const seen = await readBytes(response, 700);
    const { id, end } = lastWholeEvent(seen);
    expect(id).toBeGreaterThan(0);
    const rest = await (await other.call('GET', `/v1/generations/${generationOf(response)}/events?starting_after=${id}`)).text();
    const again = await (await one.call('GET', `/v1/generations/${generationOf(response)}/events`)).text();
    expect(seen.slice(0, end) + rest).toBe(again);
    expect(again.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(endpoint.requests).toHaveLength(1);
    expect(await one.usage()).toMatchObject([{ status: 'completed', completion_tokens: 60 }]);
  });

  it('stops the endpoint when nobody renews the lease, and not while somebody does', async () => {
    const endpoint = new ToyEndpoint(undefined, () => sleep(5));
    const { one, other } = await twoGateways(endpoint, { seesDisconnects: false });
    const response = await one.complete({ stream: true, max_tokens: 4_000 }, { headers: { 'x-penstock-lease': '1' } });
    await readBytes(response, 100);
    for (let renewal = 0; renewal < 4; renewal += 1) {
      await sleep(400);
      await other.call('POST', `/v1/generations/${generationOf(response)}/acknowledge`);
    }
    expect(endpoint.open).toBe(1);
    await expect.poll(() => endpoint.open, { timeout: 4_000 }).toBe(0);
    await expect.poll(() => one.usage()).toMatchObject([{ status: 'cancelled', completion_tokens: endpoint.generatedTokens }]);
    const events = await (await other.call('GET', `/v1/generations/${generationOf(response)}/events`)).text();
    expect(events).toContain('generation_cancelled');
  });

  it('is cancelled from another process, and says so to whoever reads', async () => {
    const endpoint = new ToyEndpoint(undefined, () => sleep(5));
    const { one, other } = await twoGateways(endpoint);
    const response = await one.complete({ stream: true, max_tokens: 4_000 });
    const reading = readStream(response);
    expect((await other.call('POST', `/v1/generations/${generationOf(response)}/cancel`)).status).toBe(200);
    expect((await reading).error).toBe('generation_cancelled');
    expect(endpoint.open).toBe(0);
    await expect.poll(() => one.usage()).toMatchObject([{ status: 'cancelled' }]);
  });

  it('shows an answer to its own key only', async () => {
    const { one, other } = await twoGateways();
    const response = await one.complete({ stream: true });
    await response.text();
    const { key } = await other.createKey();
    for (const [method, path] of [
      ['GET', 'events'],
      ['POST', 'cancel'],
      ['POST', 'acknowledge'],
    ] as const) {
      expect((await other.call(method, `/v1/generations/${generationOf(response)}/${path}`, { key })).status).toBe(404);
    }
    expect((await other.call('GET', '/v1/generations/gen_none/events')).status).toBe(404);
    expect((await other.call('GET', `/v1/generations/${generationOf(response)}/events?starting_after=x`)).status).toBe(400);
  });

  it('keeps nothing of an answer that is not to be stored', async () => {
    const table = createMemoryTable(clock);
    const written: unknown[] = [];
    const watched: Table = {
      ...table,
      write(change) {
        written.push(change);
        return table.write(change);
      },
    };
    const gateway = await createGenerationGateway(new ToyEndpoint(), { table: watched });
    const response = await gateway.call('POST', '/v1/chat/completions', {
      body: { model: 'smollm2-135m-instruct', messages: [{ role: 'user', content: 'CANARY' }], store: false, stream: true, max_tokens: 5 },
    });
    const bytes = await response.text();
    expect(bytes).toContain('[DONE]');
    expect(JSON.stringify(written)).not.toMatch(/CANARY|chat\.completion|"frames"/);
    // The process itself still has it for a moment.
    expect(await (await gateway.call('GET', `/v1/generations/${generationOf(response)}/events`)).text()).toBe(bytes);
  });
});

describe('a stored answer', () => {
  it('is forgotten when its owner says so, but not while it is made', async () => {
    const endpoint = new ToyEndpoint(undefined, () => sleep(2));
    const { one, other } = await twoGateways(endpoint);
    const response = await one.complete({ stream: true, max_tokens: 40 });
    const path = `/v1/generations/${generationOf(response)}`;
    expect((await other.call('DELETE', path)).status).toBe(400);
    await response.text();
    expect((await other.call('DELETE', path)).status).toBe(200);
    expect((await one.call('GET', `${path}/events`)).status).toBe(404);
    expect(JSON.stringify(await one.table.list(`generation/${generationOf(response)}`))).toBe('[]');
    expect(await one.usage()).toHaveLength(1);
  });
});

describe('identical deterministic requests', () => {
  it('are answered once while the answer is kept, for each key by itself', async () => {
    const { one, other, unused } = await twoGateways(new ToyEndpoint(), { cacheSeconds: 60 });
    const same = { stream: true, temperature: 0 };
    const answers = await Promise.all(Array.from({ length: 20 }, () => one.complete(same)));
    const bodies = new Set(await Promise.all(answers.map((answer) => answer.text())));
    expect(bodies.size).toBe(1);
    expect(bodies.has(await (await other.complete(same)).text())).toBe(true);
    expect(unused.requests).toHaveLength(0);
    expect(await one.usage()).toHaveLength(1);
    await (await one.complete({ stream: true })).text(); // sampled, without a seed
    await (await one.complete({ ...same, max_tokens: 3 })).text();
    await (await one.complete(same, { key: (await one.createKey()).key })).text();
    expect(await one.usage()).toHaveLength(4);
  });
});

describe('Idempotency-Key', () => {
  const headers = { 'idempotency-key': 'order-1' };

  it.each([true, false])('makes 50 requests at once one run with the same bytes (stream: %s)', async (stream) => {
    const { one, other, unused } = await twoGateways(new ToyEndpoint());
    const answers = await Promise.all(Array.from({ length: 50 }, () => one.complete({ stream }, { headers })));
    const bodies = await Promise.all(answers.map((answer) => answer.text()));
    expect(new Set(bodies).size).toBe(1);
    expect(bodies[0]).toContain(stream ? '[DONE]' : 'finish_reason');
    const later = await other.complete({ stream }, { headers });
    expect(await later.text()).toBe(bodies[0]);
    expect(generationOf(later)).toBe(generationOf(answers[0] ?? later));
    expect(unused.requests).toHaveLength(0);
    expect(await one.usage()).toHaveLength(1);
  });

  it('answers 409 to another body, and lets another API key use the same name', async () => {
    const { one } = await twoGateways();
    await (await one.complete({}, { headers })).text();
    const conflict = await one.complete({ max_tokens: 3 }, { headers });
    expect(conflict.status).toBe(409);
    expect(await conflict.json()).toMatchObject({ error: { code: 'idempotency_key_reused' } });
    const { key } = await one.createKey();
    expect((await one.complete({ max_tokens: 3 }, { headers, key })).status).toBe(200);
  });

  it('does not keep a failure: the same request may be tried again', async () => {
    const endpoint = new ToyEndpoint((_, call) =>
      call === 0 ? { after: 0, error: new EndpointUnavailableError('broken', 'penstock-gpt') } : undefined,
    );
    const { one } = await twoGateways(endpoint, {
      retry: { maxFailures: 0, canWait: true, hedgeAfterMs: 0, budget: { percent: 20, perSecond: 10 } },
    });
    expect((await one.complete({}, { headers })).status).toBe(502);
    expect((await one.complete({}, { headers })).status).toBe(200);
  });

  it('goes on when the client that asked first has left', async () => {
    const endpoint = new ToyEndpoint(undefined, () => sleep(2));
    const { one, other } = await twoGateways(endpoint);
    const first = await one.complete({ stream: true, max_tokens: 50 }, { headers });
    await readBytes(first, 50);
    const { finishReason } = await readStream(await other.complete({ stream: true, max_tokens: 50 }, { headers }));
    expect(finishReason).toBe('length');
    expect(endpoint.requests).toHaveLength(1);
  });
});
