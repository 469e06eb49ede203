import { describe, expect, it } from 'vitest';
import { createMemoryTable } from '../../../functions/drivers/memory-table.ts';
import { EndpointRefusedError, EndpointUnavailableError, StoreUnavailableError } from '../../../functions/gateway/errors.ts';
import { createRoom } from '../../../functions/gateway/generation/room.ts';
import type { Table } from '../../../functions/gateway/services/table.ts';
import type { EndpointEvent, EndpointRequest, JobQueue, OfflineEndpoint } from '../../../functions/gateway/services.ts';
import { createGenerationJob } from '../../../functions/jobs/run-generation-job.ts';
import { catalog, type ServedModel } from '../../../models/catalog.ts';
import { createGenerationGateway, createGenerationServices, MODEL, type TestGateway } from '../../support/generation-gateway.ts';
import { createMortalTable } from '../../support/mortal-table.ts';
import { problemsBy } from '../../support/openai-schemas.ts';
import { ScriptedEndpoint } from '../../support/scripted-endpoint.ts';
import { loadModelTokenizer, says } from '../../support/scripted-model.ts';

/** A gateway in Lambda whose model has an asynchronous endpoint, and processes that take from its queue. */
const tokenizer = await loadModelTokenizer();
const TEXT = 'An answer that has time, Straße and 日本語.';
const inLambda = { seesDisconnects: false, tokenLog: { keep: 'asked', batchMs: 1, retentionSeconds: 3_600 } } as const;
const never = new AbortController().signal;
const deployment = { ...catalog[0]?.deployment, asynchronous: { maxInstances: 1 } } as ServedModel['deployment']; // ours, with one more

class MemoryQueue implements JobQueue {
  readonly sent: { readonly id: string; readonly delaySeconds: number }[] = [];
  async send(id: string, delaySeconds = 0): Promise<void> {
    this.sent.push({ id, delaySeconds });
  }
}

/** An asynchronous endpoint that a test plays by hand. */
class ScriptedOffline implements OfflineEndpoint {
  readonly asked: { readonly name: string; readonly request: EndpointRequest }[] = [];
  readonly forgotten: string[] = [];
  answer: () => readonly EndpointEvent[] | undefined = () => undefined;
  async fetch(name: string, request: EndpointRequest) {
    this.asked.push({ name, request });
    return this.answer();
  }
  async forget(name: string): Promise<void> {
    this.forgotten.push(name);
  }
}

interface WireResponse {
  readonly id: string;
  readonly status: string;
  readonly service_tier: string;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly output: readonly { readonly content?: readonly { readonly text: string }[] }[];
}

const model = () => new ScriptedEndpoint(() => says(tokenizer, TEXT));
const textOf = (response: WireResponse) => response.output.flatMap(({ content = [] }) => content.map(({ text }) => text)).join('');

async function createScene(options: { readonly deployment?: ServedModel['deployment'] } = { deployment }) {
  const clock = { at: Date.now(), now: () => clock.at };
  const table = createMemoryTable(clock);
  const queue = new MemoryQueue();
  const offline = new ScriptedOffline();
  const online = model();
  const served = { table, clock, jobs: queue, config: inLambda, ...options };
  const gateway = await createGenerationGateway(online, served);
  const createWorker = async (at: Table = table) => {
    const { services, config } = await createGenerationServices(online, { ...served, table: at });
    return createGenerationJob(createRoom({ ...services, offline }, config));
  };
  const ask = async (body: object = {}, more: Parameters<TestGateway['call']>[2] = {}) => {
    const flex = { model: MODEL, input: 'Hi', background: true, service_tier: 'flex', max_output_tokens: 64, ...body };
    return (await (await gateway.call('POST', '/v1/responses', { body: flex, ...more })).json()) as WireResponse;
  };
  const read = async (id: string, key?: string) =>
    (await (await gateway.call('GET', `/v1/responses/${id}`, key === undefined ? {} : { key })).json()) as WireResponse;
  return { clock, table, queue, offline, online, gateway, createWorker, ask, read };
}

describe('a background response that has time', () => {
  it('is queued while its model has not made it, and read when it has', async () => {
    const { clock, queue, offline, online, gateway, createWorker, ask, read } = await createScene();
    const queued = await ask();
    expect(problemsBy('Response', queued)).toEqual([]);
    expect(queued).toMatchObject({ status: 'queued', service_tier: 'flex' });
    const [first] = queue.sent;
    const work = await createWorker();
    await work(first?.id ?? '', never);
    clock.at += 40 * 60_000;
    await work(first?.id ?? '', never);
    expect(await read(queued.id)).toMatchObject({ status: 'queued', service_tier: 'flex' });
    expect(queue.sent.map(({ id }) => id)).toEqual([first?.id, first?.id, first?.id]);
    expect(offline.forgotten).toEqual([]);
    offline.answer = () => says(tokenizer, TEXT);
    await work(first?.id ?? '', never);
    const made = await read(queued.id);
    expect(problemsBy('Response', made)).toEqual([]);
    expect(made).toMatchObject({ status: 'completed', service_tier: 'flex' });
    expect(textOf(made)).toBe(TEXT);
    expect(online.requests).toHaveLength(0);
    expect(offline.forgotten).toEqual([first?.id]);
    expect(await gateway.usage()).toMatchObject([{ status: 'completed', attempts: 1 }]);
    // Whatever comes again asks nobody.
    const asked = offline.asked.length;
    await work(first?.id ?? '', never);
    expect(offline.asked).toHaveLength(asked);
    expect(await gateway.usage()).toHaveLength(1);
  });

  it('asks the asynchronous endpoint for the same each time, under its own name', async () => {
    const { queue, offline, createWorker, ask } = await createScene();
    await ask({ temperature: 0 });
    const id = queue.sent[0]?.id ?? '';
    await (await createWorker())(id, never);
    offline.answer = () => says(tokenizer, TEXT);
    await (await createWorker())(id, never);
    expect(offline.asked.map(({ name }) => name)).toEqual([id, id]);
    expect(offline.asked[1]?.request).toEqual(offline.asked[0]?.request);
    expect(offline.asked[0]?.request).toMatchObject({
      target: { endpointName: `${MODEL}-async` },
      maxTokens: 64,
      sampling: { temperature: 0 },
    });
  });

  it('is looked for less and less often, every five minutes at last', async () => {
    const { clock, queue, createWorker, ask } = await createScene();
    await ask();
    const work = await createWorker();
    for (let looks = 0; looks < 24; looks += 1) {
      const { id, delaySeconds } = queue.sent.at(-1) ?? { id: '', delaySeconds: 0 };
      clock.at += delaySeconds * 1000;
      await work(id, never);
    }
    const delays = queue.sent.slice(1).map(({ delaySeconds }) => delaySeconds);
    expect(delays[0]).toBe(15);
    expect(delays.at(-1)).toBe(300);
    expect(delays).toEqual([...delays].sort((one, other) => one - other));
  });

  it('keeps its tokens meanwhile, and gives back what it did not need', async () => {
    const { clock, queue, offline, gateway, createWorker, ask, read } = await createScene();
    const { key } = await gateway.createKey({ tokens_total: 150 });
    const { id } = await ask({ max_output_tokens: 100 }, { key });
    const work = await createWorker();
    await work(queue.sent[0]?.id ?? '', never);
    clock.at += 50 * 60_000;
    const again = { body: { model: MODEL, input: 'Hi', background: true, max_output_tokens: 100 }, key };
    expect((await gateway.call('POST', '/v1/responses', again)).status).toBe(429);
    offline.answer = () => says(tokenizer, 'Ok.');
    await work(queue.sent[1]?.id ?? '', never);
    expect(await read(id, key)).toMatchObject({ status: 'completed' });
    expect((await gateway.call('POST', '/v1/responses', { ...again, body: { ...again.body, max_output_tokens: 20 } })).status).toBe(200);
  });

  it('goes on at the very token when its function is killed', async () => {
    const { clock, table, queue, offline, gateway, createWorker, ask, read } = await createScene();
    const { id } = await ask({ temperature: 1 });
    const events = says(tokenizer, TEXT);
    offline.answer = () => events.slice(0, 5); // as far as the first one comes
    const life = createMortalTable(table);
    const dead = Promise.withResolvers<void>();
    const diesWith = async <Result>(change: unknown, written: Promise<Result>): Promise<Result> => {
      const result = await written;
      if (JSON.stringify(change).includes('output_text.delta')) {
        life.kill();
        dead.resolve();
      }
      return result;
    };
    const dying: Table = {
      ...life.table,
      write: (change) => diesWith(change, life.table.write(change)),
      writeAll: (changes) => diesWith(changes, life.table.writeAll(changes)),
    };
    const name = queue.sent[0]?.id ?? '';
    void (await createWorker(dying))(name, never).catch(() => undefined);
    await dead.promise;
    clock.at += 16 * 60_000;
    offline.answer = () => events;
    await (await createWorker())(name, never);
    expect(await read(id)).toMatchObject({ status: 'completed' });
    expect(textOf(await read(id))).toBe(TEXT);
    expect(await gateway.usage()).toHaveLength(1);
  });

  it('fails with a reason when its model failed, after which nothing of it is kept', async () => {
    for (const [error, code] of [
      [new EndpointUnavailableError('model-error', 'gpt-async'), 'server_error'],
      [new EndpointRefusedError('Too long.'), 'server_error'],
    ] as const) {
      const { queue, offline, online, createWorker, ask, read } = await createScene();
      const { id } = await ask();
      offline.answer = () => {
        throw error;
      };
      await (await createWorker())(queue.sent[0]?.id ?? '', never);
      expect(await read(id)).toMatchObject({ status: 'failed', error: { code } });
      expect(online.requests).toHaveLength(0);
      expect(offline.forgotten).toEqual([queue.sent[0]?.id]);
      expect(queue.sent).toHaveLength(1);
    }
  });

  it('comes again when its endpoint has no room, and when the bucket cannot be reached', async () => {
    const { queue, offline, createWorker, ask, read } = await createScene();
    const { id } = await ask();
    const work = await createWorker();
    offline.answer = () => {
      throw new EndpointUnavailableError('throttled', 'gpt-async');
    };
    await work(queue.sent[0]?.id ?? '', never);
    expect(queue.sent).toHaveLength(2);
    offline.answer = () => {
      throw new StoreUnavailableError('the bucket');
    };
    await expect(work(queue.sent[1]?.id ?? '', never)).rejects.toThrow(StoreUnavailableError);
    expect(await read(id)).toMatchObject({ status: 'queued' });
    offline.answer = () => says(tokenizer, TEXT);
    await work(queue.sent[1]?.id ?? '', never);
    expect(await read(id)).toMatchObject({ status: 'completed' });
  });

  it('is made, and its message dropped, though what was made cannot be deleted', async () => {
    const { queue, offline, createWorker, ask, read } = await createScene();
    const { id } = await ask();
    offline.answer = () => says(tokenizer, TEXT);
    offline.forget = () => Promise.reject(new StoreUnavailableError('the bucket'));
    await (await createWorker())(queue.sent[0]?.id ?? '', never);
    expect(await read(id)).toMatchObject({ status: 'completed' });
  });

  it.each(['cancel', 'delete'])('is forgotten when somebody says %s before it is made', async (what) => {
    const { queue, offline, gateway, createWorker, ask } = await createScene();
    const { id } = await ask();
    const work = await createWorker();
    await work(queue.sent[0]?.id ?? '', never);
    if (what === 'cancel') await gateway.call('POST', `/v1/responses/${id}/cancel`, { body: {} });
    else await gateway.call('DELETE', `/v1/responses/${id}`);
    offline.answer = () => says(tokenizer, TEXT);
    await work(queue.sent[1]?.id ?? '', never);
    expect(offline.asked).toHaveLength(1);
    expect(offline.forgotten).toEqual([queue.sent[1]?.id]);
    expect(queue.sent).toHaveLength(2);
  });
});

describe('the tier of a response', () => {
  it.each([
    ['the model has no asynchronous endpoint', { deployment: catalog[0]?.deployment }, {}],
    ['somebody reads it as it is made', undefined, { stream: true }],
    ['it is asked for as another', undefined, { service_tier: 'auto' }],
  ])('is the ordinary one when %s', async (_, options, body) => {
    const { queue, offline, online, gateway, createWorker } = await createScene(options);
    const asked = { model: MODEL, input: 'Hi', background: true, service_tier: 'flex', max_output_tokens: 64, ...body };
    const text = await (await gateway.call('POST', '/v1/responses', { body: asked })).text();
    expect(text).toContain('"service_tier":"default"');
    for (const { id } of queue.sent) await (await createWorker())(id, never);
    expect(offline.asked).toHaveLength(0);
    expect(offline.forgotten).toHaveLength(0);
    expect(online.requests).toHaveLength(1);
  });
});
