import { describe, expect, it } from 'vitest';
import { createMemoryTable } from '../../../functions/drivers/memory-table.ts';
import { DeadlineError, JobQueueUnavailableError } from '../../../functions/gateway/errors.ts';
import { createRoom } from '../../../functions/gateway/generation/room.ts';
import type { Table } from '../../../functions/gateway/services/table.ts';
import type { Endpoint, JobQueue } from '../../../functions/gateway/services.ts';
import { createGenerationJob, JobWaitsError } from '../../../functions/jobs/run-generation-job.ts';
import { createGenerationGateway, createGenerationServices, MODEL, type TestGateway } from '../../support/generation-gateway.ts';
import { createMortalTable } from '../../support/mortal-table.ts';
import { problemsBy } from '../../support/openai-schemas.ts';
import { ScriptedEndpoint } from '../../support/scripted-endpoint.ts';
import { loadModelTokenizer, says } from '../../support/scripted-model.ts';

/** A gateway that ends with its requests, as in Lambda, and processes that take from its queue. */
const tokenizer = await loadModelTokenizer();
const TEXT = 'A background answer, Straße and 日本語.';
const inLambda = { seesDisconnects: false, tokenLog: { keep: 'asked', batchMs: 1, retentionSeconds: 3_600 } } as const;
const never = new AbortController().signal;

class MemoryQueue implements JobQueue {
  readonly sent: string[] = [];
  async send(generationId: string): Promise<void> {
    this.sent.push(generationId);
  }
}

interface WireResponse {
  readonly id: string;
  readonly status: string;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly output: readonly { readonly type: string; readonly name?: string; readonly content?: readonly { readonly text: string }[] }[];
}

const model = () => new ScriptedEndpoint(() => says(tokenizer, TEXT));
const textOf = (response: WireResponse) => response.output.flatMap(({ content = [] }) => content.map(({ text }) => text)).join('');

async function createScene(clock = { at: Date.now(), now: () => clock.at }) {
  const table = createMemoryTable(clock);
  const queue = new MemoryQueue();
  const gatewayEndpoint = model();
  const gateway = await createGenerationGateway(gatewayEndpoint, { table, clock, jobs: queue, config: inLambda });
  const createWorker = async (endpoint: Endpoint, at: Table = table) => {
    const { services, config } = await createGenerationServices(endpoint, { table: at, clock, config: inLambda });
    return createGenerationJob(createRoom(services, config));
  };
  const ask = (body: object = {}, options: Parameters<TestGateway['call']>[2] = {}) =>
    gateway.call('POST', '/v1/responses', {
      body: { model: MODEL, input: 'Hi', background: true, max_output_tokens: 64, ...body },
      ...options,
    });
  const read = async (id: string) => (await (await gateway.call('GET', `/v1/responses/${id}`)).json()) as WireResponse;
  return { clock, table, queue, gateway, gatewayEndpoint, createWorker, ask, read };
}

describe('a background response of a gateway that ends with its requests', () => {
  it('is queued at once, made by another process, and read from a third', async () => {
    const { queue, gatewayEndpoint, createWorker, ask, read, table, clock } = await createScene();
    const answer = await ask();
    expect(answer.headers.get('x-penstock-generation')).toBe(queue.sent[0]);
    const queued = (await answer.json()) as WireResponse;
    expect(problemsBy('Response', queued)).toEqual([]);
    expect(queued.status).toBe('queued');
    expect((await read(queued.id)).status).toBe('queued');
    const endpoint = model();
    await (await createWorker(endpoint))(queue.sent[0] ?? '', never);
    expect(gatewayEndpoint.requests).toHaveLength(0);
    expect(endpoint.requests).toHaveLength(1);
    const third = await createGenerationGateway(model(), { table, clock });
    const made = (await (await third.call('GET', `/v1/responses/${queued.id}`)).json()) as WireResponse;
    expect(problemsBy('Response', made)).toEqual([]);
    expect(made).toMatchObject({ id: queued.id, status: 'completed' });
    expect(textOf(made)).toBe(TEXT);
    // Its events are there as well, from the first to the last.
    const events = await (await third.call('GET', `/v1/responses/${queued.id}?stream=true`)).text();
    const numbers = [...events.matchAll(/"sequence_number":(\d+)/g)].map(([, number]) => Number(number));
    expect(numbers).toEqual(numbers.map((_, index) => index));
    expect(events).toContain('event: response.completed');
    expect(await third.usage()).toMatchObject([{ status: 'completed', attempts: 1 }]);
  });

  it('waits for as long as it takes, without being taken for lost, and keeps its tokens', async () => {
    const { clock, queue, gateway, createWorker, ask, read } = await createScene();
    const { key } = await gateway.createKey({ tokens_total: 100 });
    const { id } = (await (await ask({ max_output_tokens: 60 }, { key })).json()) as WireResponse;
    clock.at += 30 * 60_000;
    expect((await (await gateway.call('GET', `/v1/responses/${id}`, { key })).json()) as WireResponse).toMatchObject({ status: 'queued' });
    // What it may need is not given away to others.
    expect((await ask({ max_output_tokens: 60 }, { key })).status).toBe(429);
    await (await createWorker(model()))(queue.sent[0] ?? '', never);
    expect((await (await gateway.call('GET', `/v1/responses/${id}`, { key })).json()) as WireResponse).toMatchObject({
      status: 'completed',
    });
    expect((await read(id)).status).toBeUndefined(); // another key's: it is not found
  });

  it('is asked for once, however often its request comes with one Idempotency-Key: the same bytes, before it is begun and afterwards', async () => {
    const { queue, createWorker, ask } = await createScene();
    const headers = { 'idempotency-key': 'one' };
    const first = await (await ask({}, { headers })).text();
    expect(await (await ask({}, { headers })).text()).toBe(first);
    expect(queue.sent).toHaveLength(1);
    await (await createWorker(model()))(queue.sent[0] ?? '', never);
    expect(await (await ask({}, { headers })).text()).toBe(first);
    expect(queue.sent).toHaveLength(1);
  });

  it('is made once, however often its name comes', async () => {
    const { queue, gateway, createWorker, ask } = await createScene();
    await ask();
    const endpoints = [model(), model(), model()];
    const workers = await Promise.all(endpoints.map((endpoint) => createWorker(endpoint)));
    const [id = ''] = queue.sent;
    await Promise.all(workers.map((work) => work(id, never)));
    await workers[0]?.(id, never);
    expect(endpoints.reduce((sum, { requests }) => sum + requests.length, 0)).toBe(1);
    expect(await gateway.usage()).toHaveLength(1);
  });

  it('goes on when its name comes again after the function was killed', async () => {
    const { clock, table, queue, gateway, gatewayEndpoint, createWorker, ask } = await createScene();
    const { key } = await gateway.createKey({ tokens_total: 100 });
    const read = async (id: string) => (await (await gateway.call('GET', `/v1/responses/${id}`, { key })).json()) as WireResponse;
    const { id } = (await (await ask({ temperature: 0 }, { key })).json()) as WireResponse;
    const life = createMortalTable(table);
    const reached = Promise.withResolvers<void>();
    const half = new ScriptedEndpoint(async function* () {
      for (const [index, event] of says(tokenizer, TEXT).entries()) {
        if (index === 5) {
          reached.resolve();
          await new Promise(() => undefined);
        }
        yield event;
      }
    });
    const [name = ''] = queue.sent;
    void (await createWorker(half, life.table))(name, never).catch(() => undefined);
    await reached.promise;
    const written = async () => JSON.stringify(await table.list(`generation/${name}`)).includes('output_text.delta');
    await expect.poll(written, { interval: 2 }).toBe(true);
    life.kill();
    // Who asks meanwhile does not begin what the queue will name again, and what it may need is not given away.
    clock.at += 10 * 60_000;
    for (let polls = 0; polls < 10; polls += 1) expect((await read(id)).status).toBe('queued');
    expect((await ask({}, { key })).status).toBe(429);
    expect(gatewayEndpoint.requests).toHaveLength(0);
    clock.at += 6 * 60_000;
    // The model goes on from what it is shown of its answer.
    const rest = new ScriptedEndpoint(({ promptTokenIds }) => {
      const all = [...tokenizer.encode(TEXT)];
      const seen = all.findIndex((_, index) =>
        all.slice(0, all.length - index).every((token, at) => promptTokenIds.at(at - (all.length - index)) === token),
      );
      return says(tokenizer, tokenizer.decode(all.slice(seen < 0 ? 0 : all.length - seen)));
    });
    await (await createWorker(rest))(name, never);
    expect(await read(id)).toMatchObject({ status: 'completed' });
    expect(textOf(await read(id))).toBe(TEXT);
    expect(await gateway.usage()).toHaveLength(1);
  });

  it('may have a form that is enforced, or tools: it is begun elsewhere as it would be here', async () => {
    const { queue, createWorker, ask, read } = await createScene();
    const json = '{"city":"Paris"}';
    const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
    const { id } = (await (await ask({ text: { format: { type: 'json_schema', name: 'city', schema } } })).json()) as WireResponse;
    const endpoint = new ScriptedEndpoint(() => says(tokenizer, json));
    await (await createWorker(endpoint))(queue.sent[0] ?? '', never);
    expect(endpoint.requests[0]?.grammar).toMatchObject({ type: 'json-schema', schema });
    expect(textOf(await read(id))).toBe(json);
    const tools = [{ type: 'function', name: 'look_up', parameters: schema, strict: true }];
    const called = (await (await ask({ tools, tool_choice: { type: 'function', name: 'look_up' } })).json()) as WireResponse;
    const caller = new ScriptedEndpoint(() => says(tokenizer, json));
    await (await createWorker(caller))(queue.sent[1] ?? '', never);
    expect(caller.requests[0]?.grammar).toMatchObject({ type: 'json-schema' });
    expect((await read(called.id)).output).toMatchObject([{ type: 'function_call', name: 'look_up' }]);
  });

  it('fails, and is not made again, when its function is killed while a form is enforced', async () => {
    const { clock, table, queue, createWorker, ask, read } = await createScene();
    const { id } = (await (await ask({ text: { format: { type: 'json_object' } } })).json()) as WireResponse;
    const life = createMortalTable(table);
    const reached = Promise.withResolvers<void>();
    const half = new ScriptedEndpoint(async function* () {
      yield* says(tokenizer, '{"a').slice(0, 1);
      reached.resolve();
      await new Promise(() => undefined);
    });
    const [name = ''] = queue.sent;
    void (await createWorker(half, life.table))(name, never).catch(() => undefined);
    await reached.promise;
    life.kill();
    clock.at += 16 * 60_000;
    const again = model();
    await (await createWorker(again))(name, never);
    expect(again.requests).toHaveLength(0);
    expect(await read(id)).toMatchObject({ status: 'failed', error: { code: 'server_error' } });
  });

  it('is cancelled before anybody has begun it: nothing is charged, and the message is dropped', async () => {
    const { queue, gateway, createWorker, ask, read } = await createScene();
    const { key } = await gateway.createKey({ tokens_total: 100 });
    const { id } = (await (await ask({ max_output_tokens: 60 }, { key })).json()) as WireResponse;
    const cancelled = await gateway.call('POST', `/v1/responses/${id}/cancel`, { body: {}, key });
    expect((await cancelled.json()) as WireResponse).toMatchObject({ status: 'cancelled' });
    const endpoint = model();
    await (await createWorker(endpoint))(queue.sent[0] ?? '', never);
    expect(endpoint.requests).toHaveLength(0);
    expect((await ask({ max_output_tokens: 60 }, { key })).status).toBe(200);
    expect((await read(id)).status).toBeUndefined();
  });

  it('is dropped when it was deleted meanwhile', async () => {
    const { queue, gateway, createWorker, ask } = await createScene();
    const { id } = (await (await ask()).json()) as WireResponse;
    expect((await gateway.call('DELETE', `/v1/responses/${id}`)).status).toBe(200);
    const endpoint = model();
    await (await createWorker(endpoint))(queue.sent[0] ?? '', never);
    expect(endpoint.requests).toHaveLength(0);
  });

  it('fails with a reason when its function runs out of time', async () => {
    const { queue, createWorker, ask, read } = await createScene();
    const { id } = (await (await ask()).json()) as WireResponse;
    const deadline = new AbortController();
    const slow = new ScriptedEndpoint(async function* (_, call) {
      deadline.abort(new DeadlineError());
      await new Promise((_resolve, reject) => slow.signals[call]?.addEventListener('abort', () => reject(new Error('aborted'))));
      yield* [];
    });
    await (await createWorker(slow))(queue.sent[0] ?? '', deadline.signal);
    expect(await read(id)).toMatchObject({ status: 'failed' });
    expect((await read(id)).error?.message).toBe(new DeadlineError().message);
  });

  it('comes again when it waits and this process cannot begin it', async () => {
    const { queue, table, ask, createWorker } = await createScene();
    await ask();
    const [name = ''] = queue.sent;
    await table.write({ type: 'delete', key: { partition: `generation/${name}`, sort: 'plan' } });
    await expect((await createWorker(model()))(name, never)).rejects.toThrow(JobWaitsError);
  });
});

describe('a gateway that ends with its requests', () => {
  it('tells at once what is wrong with a request, or that a limit is spent', async () => {
    const { queue, gateway, ask } = await createScene();
    const { key } = await gateway.createKey({ tokens_total: 10 });
    expect((await ask({ model: 'nope' })).status).toBe(404);
    expect((await ask({ input: 'word '.repeat(9000) })).status).toBe(400);
    expect((await ask({ max_output_tokens: 60 }, { key })).status).toBe(429);
    expect(queue.sent).toEqual([]);
  });

  it('refuses when nobody can be told, and gives back what it held', async () => {
    const table = createMemoryTable({ now: Date.now });
    const jobs: JobQueue = { send: () => Promise.reject(new JobQueueUnavailableError({ cause: new Error('down') })) };
    const gateway = await createGenerationGateway(model(), { table, jobs, config: inLambda });
    const { key } = await gateway.createKey({ tokens_total: 100 });
    const body = { model: MODEL, input: 'Hi', background: true, max_output_tokens: 60 };
    for (let tries = 0; tries < 3; tries += 1) {
      const refused = await gateway.call('POST', '/v1/responses', { body, key });
      expect(refused.status).toBe(503);
      expect(refused.headers.get('retry-after')).toBe('1');
      expect(((await refused.json()) as { error: { code: string } }).error.code).toBe('queue_unavailable');
    }
  });

  it('still refuses without a queue', async () => {
    const gateway = await createGenerationGateway(model(), { config: inLambda });
    const refused = await gateway.call('POST', '/v1/responses', { body: { model: MODEL, input: 'Hi', background: true } });
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ error: { param: 'background' } });
  });
});
