import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createMemoryTable } from '../../../../functions/drivers/memory-table.ts';
import { EndpointUnavailableError } from '../../../../functions/gateway/errors.ts';
import type { ControlPlane } from '../../../../functions/gateway/services.ts';
import { createGenerationGateway, readStream, textOf } from '../../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const noCapacity = () => new EndpointUnavailableError('no-capacity', 'penstock-gpt');
const promptOf = (client: number) => [504, 3575, 1_000 + client];

/** A model without a copy until `warm` is called; then so many requests at once are taken. */
function coldEndpoint(places = Number.POSITIVE_INFINITY) {
  let isWarm = false;
  const served: number[] = [];
  const endpoint: ToyEndpoint = new ToyEndpoint(
    (request) => {
      if (!isWarm || endpoint.open >= places) return { after: 0, error: noCapacity() };
      served.push((request.promptTokenIds.at(-1) ?? 0) - 1_000);
      return undefined;
    },
    () => sleep(2),
  );
  return {
    endpoint,
    served,
    warm: () => {
      isWarm = true;
    },
  };
}

describe('from zero to warm', () => {
  it('shows 50 clients no error, keeps their order, and charges each once', async () => {
    const { endpoint, served, warm } = coldEndpoint(8);
    const gateway = await createGenerationGateway(endpoint);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, client) => gateway.complete({ prompt: promptOf(client), max_tokens: 4, stream: true })),
    );
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200));
    const reading = Promise.all(answers.map(readStream));
    await sleep(60);
    warm();
    const streams = await reading;
    expect(streams.every((stream) => stream.error === undefined && stream.finishReason === 'length')).toBe(true);
    expect(served).toEqual(Array.from({ length: 50 }, (_, client) => client));
    const usage = await gateway.usage();
    expect(usage).toHaveLength(50);
    expect(usage.every((line) => line.status === 'completed' && line.completion_tokens === 4)).toBe(true);
  });

  it('shows no error to clients of two gateway processes either, and keeps the order within each', async () => {
    const { endpoint, served, warm } = coldEndpoint(8);
    const table = createMemoryTable({ now: Date.now });
    const gateways = await Promise.all([0, 1].map(() => createGenerationGateway(endpoint, { table })));
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, client) => gateways[client % 2]?.complete({ prompt: promptOf(client), max_tokens: 4, stream: true })),
    );
    const reading = Promise.all(answers.map((answer) => readStream(answer ?? new Response())));
    await sleep(60);
    warm();
    for (const stream of await reading) expect(stream).toMatchObject({ error: undefined, finishReason: 'length' });
    for (const process of [0, 1])
      expect(served.filter((client) => client % 2 === process)).toEqual(Array.from({ length: 25 }, (_, place) => 2 * place + process));
    const usage = (await gateways[0]?.usage()) ?? [];
    expect(usage.filter((line) => line.status === 'completed' && line.completion_tokens === 4)).toHaveLength(50);
  });

  it('keeps a waiting stream alive with comments, and tells those who ask where they stand', async () => {
    const { endpoint, warm } = coldEndpoint();
    const gateway = await createGenerationGateway(endpoint, { config: { keepAliveMs: 15 } });
    const plain = await gateway.complete({ stream: true });
    const asking = await gateway.complete({ stream: true }, { headers: { 'x-penstock-status': 'events' } });
    const reading = Promise.all([plain.text(), asking.text()]);
    await sleep(80);
    warm();
    const [comments, events] = await reading;
    expect(comments).toContain(': keep-alive\n\n');
    expect(comments).not.toContain('penstock.status');
    expect(events).toContain('event: penstock.status\ndata: {"state":"waiting","position":2,"eta_seconds":null}\n\n');
    // What is said in between has no number: it is not read again.
    expect([...events.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]))).toEqual(
      Array.from({ length: 14 }, (_, index) => index + 1),
    );
  });

  it('tells those who ask how many copies run, and since when', async () => {
    const { endpoint, warm } = coldEndpoint();
    const changedAt = Date.UTC(2026, 10, 27, 3, 0, 0);
    const controlPlane = {
      describe: async () => ({ status: 'Updating', copies: { running: 0, wanted: 1 }, changedAt, failure: 'account 42' }),
    };
    const gateway = await createGenerationGateway(endpoint, { controlPlane, config: { keepAliveMs: 15 } });
    const asking = await gateway.complete({ stream: true }, { headers: { 'x-penstock-status': 'events' } });
    let events = '';
    for await (const text of (asking.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
      events += text;
      if (events.includes('"copies"')) warm();
    }
    const status = `{"state":"waiting","position":1,"eta_seconds":null,"copies":{"running":0,"wanted":1},"since":${changedAt / 1000}}`;
    expect(events).toContain(`event: penstock.status\ndata: ${status}\n\n`);
    expect(events).not.toContain('account 42'); // that is for whoever runs it
  });

  it('answers whole requests when the model is there', async () => {
    const { endpoint, warm } = coldEndpoint();
    const gateway = await createGenerationGateway(endpoint);
    const waiting = gateway.complete();
    await sleep(50);
    warm();
    const response = await waiting;
    expect(response.status).toBe(200);
    expect(await textOf(response)).not.toBe('');
  });

  it('tells who waited in vain what runs, when that is known', async () => {
    const changedAt = Date.UTC(2026, 10, 27, 3, 0, 0);
    const refusalWith = async (describe: ControlPlane['describe']) => {
      const { endpoint } = coldEndpoint();
      const config = { queue: { maxWaiting: 2, maxWaitMs: 30, probeMs: 20 } };
      const gateway = await createGenerationGateway(endpoint, { controlPlane: { describe }, config });
      const refused = await gateway.complete();
      expect(refused.status).toBe(503);
      expect(refused.headers.get('retry-after')).toBe('30');
      return ((await refused.json()) as { error: { message: string } }).error.message;
    };
    const plain = 'The model did not start within 0 s. Try again later.';
    const told = await refusalWith(async () => ({ status: 'Failed', copies: { running: 0, wanted: 1 }, changedAt, failure: 'account 42' }));
    expect(told).toBe(`${plain} Copies of it that run: 0 of 1 since 2026-11-27T03:00:00Z.`);
    expect(await refusalWith(async () => undefined)).toBe(plain);
    expect(await refusalWith(() => Promise.reject(new Error('denied')))).toBe(plain);
    expect(await refusalWith(() => new Promise(() => undefined))).toBe(plain); // it is not waited for
  });

  it('turns away who finds no place in line, the lowest class first, with a time to come back', async () => {
    const { endpoint, warm } = coldEndpoint();
    const gateway = await createGenerationGateway(endpoint, { config: { queue: { maxWaiting: 2, maxWaitMs: 20_000, probeMs: 20 } } });
    const low = await gateway.createKey({}, { priority: 'low' });
    const high = await gateway.createKey({}, { priority: 'high' });
    const first = gateway.complete({}, { key: low.key });
    await sleep(10);
    const second = gateway.complete();
    await sleep(10);
    const third = gateway.complete({}, { key: high.key });
    const shed = await first;
    expect(shed.status).toBe(503);
    expect(Number(shed.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await shed.json()).toMatchObject({ error: { code: 'overloaded' } });
    expect((await gateway.complete({}, { key: low.key })).status).toBe(503);
    warm();
    expect((await second).status).toBe(200);
    expect((await third).status).toBe(200);
  });

  it('gives up after the longest wait, with nothing charged', async () => {
    const { endpoint } = coldEndpoint();
    const gateway = await createGenerationGateway(endpoint, { config: { queue: { maxWaiting: 9, maxWaitMs: 60, probeMs: 10 } } });
    const response = await gateway.complete();
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('30');
    expect(await gateway.usage()).toMatchObject([{ status: 'failed', prompt_tokens: 0, completion_tokens: 0 }]);
  });

  it('asks another target that has room before it waits', async () => {
    const endpoint = new ToyEndpoint((request) => (request.target.region === undefined ? { after: 0, error: noCapacity() } : undefined));
    const gateway = await createGenerationGateway(endpoint, { alternatives: [{ name: 'penstock-gpt', region: 'eu-west-1' }] });
    const { text, error } = await readStream(await gateway.complete({ stream: true }));
    expect(error).toBeUndefined();
    expect(text).not.toBe('');
    expect(endpoint.requests.map((request) => request.target.region)).toEqual([undefined, 'eu-west-1']);
  });

  it('lets a client leave the line', async () => {
    const { endpoint } = coldEndpoint();
    const gateway = await createGenerationGateway(endpoint);
    const response = await gateway.complete({ stream: true });
    await response.body?.cancel();
    await expect.poll(() => gateway.usage()).toMatchObject([{ status: 'cancelled' }]);
    const calls = endpoint.requests.length;
    await sleep(100);
    expect(endpoint.requests.length).toBe(calls);
  });
});
